from __future__ import annotations

from rqcron_events import register_cron


@register_cron(cadence="daily")
def do():
    """Takes the name of its module."""
