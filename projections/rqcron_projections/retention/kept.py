"""Where rows of runs begin, for those who show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rqcron_events.ledger import store

from ..models import Checkpoint

__all__ = ["removed_words", "runs_kept_from"]

RUNS = "runs"


def runs_kept_from() -> datetime | None:
    """Runs that were asked for before, and have ended, have no rows any more; None: all have. Raises Django's
    database errors."""
    points = Checkpoint.objects.using(store.connection().alias).filter(name=RUNS)
    return points.values_list("kept_from", flat=True).first()


def removed_words(kept_from: datetime, show: Callable[[datetime], str] | None = None) -> str:
    """A sentence about what is not there."""
    at = show(kept_from) if show else f"{kept_from.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"Rows of runs that were asked for before {at} and have ended are removed (RQCRON_RUN_DAYS). "
        "Days, totals and the log keep everything."
    )
