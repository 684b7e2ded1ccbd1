"""Where rows of runs and decisions begin, for those who show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rqcron_events.ledger import store

from ..models import Checkpoint

__all__ = ["archived_words", "removed_words", "runs_kept_from"]

RUNS = "runs"


def runs_kept_from() -> datetime | None:
    """Runs that were asked for before, and have ended, have no rows any more; None: all have. Raises Django's
    database errors."""
    points = Checkpoint.objects.using(store.connection().alias).filter(name=RUNS)
    return points.values_list("kept_from", flat=True).first()


def removed_words(kept_from: datetime, show: Callable[[datetime], str] | None = None) -> str:
    """A sentence about what is not there."""
    at = (show or _in_utc)(kept_from)
    return (
        f"Rows of runs that were asked for before {at} and have ended are removed (RQCRON_RUN_DAYS). "
        "Days, totals and the log keep everything."
    )


def archived_words(until: datetime, show: Callable[[datetime], str] | None = None) -> str:
    """A sentence about slots that a report from single runs does not count."""
    return (
        f"Events up to {(show or _in_utc)(until)} are archived: slots up to then that were skipped or missed are "
        "not counted. Reports of whole days count them, and cron_audit reads the archive."
    )


def _in_utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
