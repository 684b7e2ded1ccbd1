from __future__ import annotations

from rqcron_events import register_cron


@register_cron(schedule="not a schedule")
def wrong_schedule():
    """Refused, without harm to the next one."""


@register_cron(cadence="hourly")
def after_the_fault():
    """Registered although an earlier module does not import."""
