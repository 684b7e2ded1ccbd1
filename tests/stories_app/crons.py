"""The crons of ``docs/stories.md``: a team's day, in seconds."""

from __future__ import annotations

from datetime import timedelta

from rqcron_events import register_cron


@register_cron(every=timedelta(seconds=4), max_lateness=timedelta(seconds=2))
def digest():
    """Mail every subscriber what is new."""


@register_cron(every=timedelta(seconds=2), max_lateness=timedelta(minutes=5))
def billing():
    """Send the invoices of the hour."""
