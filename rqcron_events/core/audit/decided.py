"""What an audit is given of the log, decision by decision and run by run. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ..events import EventType
from ..expected_slots import Slot

__all__ = ["Decided", "RunFacts", "Tally"]


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
