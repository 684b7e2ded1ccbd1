"""The calls of a runner that does what is due and ends, as from a platform's scheduler.

Where that is how a project decides, nobody is alive between two calls, and nothing is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from statistics import median

from .. import clock
from ..conf import conf
from ..core.events import EventType
from ..core.events.keys import ONCE
from ..models import CronEvent

__all__ = ["BURST", "CALL", "Calls", "newest_calls"]

CALL = "cron_run --once"
BURST = "cron_worker --burst"
CALLS_LOOKED_AT_MAX = 20
GRACE = timedelta(minutes=1)
UNKNOWN = timedelta(minutes=10)
"""How long the second call may take, while nobody knows how often it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The newest calls, when no other runner was started since."""

    command: str
    """CALL or BURST."""
    last: datetime
    every: timedelta | None
    """How long from one to the next, usually; None after the first."""

    @property
    def allowed(self) -> timedelta:
        """How long the next one may take: platforms call late, and leave one out now and then."""
        return UNKNOWN if self.every is None else 2 * self.every + GRACE

    @property
    def is_overdue(self) -> bool:
        return clock.now() - self.last > self.allowed


def newest_calls() -> Calls | None:
    """None where another runner was started last. One index look-up. Raises Django's database errors."""
    rows = CronEvent.objects.using(conf().database).of_type(EventType.RUNNER_STARTED)
    newest = rows.order_by("-occurred_at", "-id")[:CALLS_LOOKED_AT_MAX]
    calls = list(takewhile(lambda row: row.data.get(ONCE), newest))
    if not calls:
        return None
    times = [row.occurred_at for row in calls]
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(times)]
    return Calls(
        command=str(calls[0].data[ONCE]),
        last=times[0],
        every=timedelta(seconds=median(gaps)) if gaps else None,
    )
