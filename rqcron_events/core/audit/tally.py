"""Which promised slots a decision covers: one by one, or by their number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from ..events import EventType
from ..expected_slots import Promise, Slot
from ..schedule.slot_count import count_slots

__all__ = ["Decided", "RunFacts", "Tally", "is_whole_stretch"]


class Decided(NamedTuple):
    """A decision as it is recorded."""

    type: EventType
    first: datetime
    last: datetime
    slots: int
    """How many it says it covers."""
    definition_version: int
    version: int
    """Of the event, in the cron's stream."""


class RunFacts(NamedTuple):
    """A run as its stream tells it."""

    run_id: UUID
    requested_at: datetime
    events: int = 0
    version: int = 0
    """Of the last event; the same number where nothing is missing."""
    outcomes: int = 0
    started_at: datetime | None = None
    """Start of the attempt that is not over; only needed when there is no outcome."""
    last_event_at: datetime | None = None


class Tally:
    """The promised slots that one decision covers, without keeping them: there may be millions."""

    __slots__ = ("count", "first", "last", "other", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.count = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.other: Slot | None = None
        """The first one that another definition promised."""

    def add(self, slot: Slot) -> None:
        self.count += 1
        if self.first is None:
            self.first = slot.at
        self.last = slot.at
        if slot.definition_version != self.version and self.other is None:
            self.other = slot


def is_whole_stretch(
    stretches: Sequence[Promise], first: datetime, last: datetime, slots: int
) -> bool:
    """Whether from ``first``, a slot, to ``last``, another, one definition promised so many."""
    in_force = [item for item in stretches if item.covers(first)]
    if len(in_force) != 1 or not in_force[0].covers(last):
        return False
    schedule = in_force[0].schedule
    if schedule is None or schedule.prev_until(last) != last:
        return False
    return count_slots(schedule, first - timedelta.resolution, last) == slots
