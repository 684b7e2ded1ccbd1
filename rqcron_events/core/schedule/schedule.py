"""What the rest of the code asks of any schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["EPOCH", "SCHEDULES_KEPT_MAX", "Schedule", "slots_between"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCHEDULES_KEPT_MAX = 20_000
"""Parsing takes a hundred times longer than asking for the next slot; one kept takes about 2 kB."""


class Schedule(Protocol):
    """When a cron is due. All instants are aware; results are UTC."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot later than ``instant``, or None when there is none."""

    def prev_until(self, instant: datetime) -> datetime | None:
        """The last slot at or before ``instant``, or None when there is none."""


def slots_between(
    schedule: Schedule, after: datetime, until: datetime, limit: int
) -> Iterator[datetime]:
    """At most ``limit`` slots with ``after < slot <= until``, oldest first."""
    cursor: datetime | None = after
    for _ in range(limit):
        assert cursor is not None
        cursor = schedule.next_after(cursor)
        if cursor is None or cursor > until:
            return
        yield cursor
