from __future__ import annotations

from rqcron_events import register_cron


@register_cron
def before_the_fault():
    """Registered before its module breaks."""


raise RuntimeError("this module is broken on purpose")
