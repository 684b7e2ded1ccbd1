from __future__ import annotations

from rqcron_events import register_cron


@register_cron(schedule="0 1 * * *")
def in_the_package():
    """Registered by the package itself."""
