from __future__ import annotations

from rqcron_events import register_cron


@register_cron
def plain():
    """Every hour."""
