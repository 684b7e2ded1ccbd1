"""What of a cron's decisions a rewind left standing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..events import EventType
from ..expected_slots import Promise, promised
from ..interventions.rewind import Rewind, is_kept
from .tally import Decided

__all__ = ["Rewinds"]

_MOMENT = timedelta(microseconds=1)


class Rewinds:
    """Sorts the decisions that were made before a rewind, as they come."""

    def __init__(self, rewinds: Sequence[Rewind], stretches: Sequence[Promise]) -> None:
        self._rewinds = rewinds
        self._stretches = stretches
        self._fired_ahead: set[datetime] = set()

    def still_counts(self, decision: Decided) -> Decided | None:
        """The part of a decision that stands; None when it was taken back, or is about a slot that
        fired ahead of its time, which counts when that slot comes."""
        starts = (item.start for item in self._rewinds if item.version > decision.version)
        start = min((start for start in starts if start < decision.last), default=None)
        if start is None:
            return decision
        if decision.type is EventType.SLOT_FIRED:
            self._fired_ahead.add(decision.last)
            return None
        count, last = 0, None
        for slot in promised(self._stretches, decision.first - _MOMENT, start):
            count, last = count + 1, slot.at
        return decision._replace(last=last, slots=count) if last is not None else None

    def fired_ahead(self, slot: datetime) -> bool:
        """Whether the slot fired ahead of its time, and the rewind says so."""
        return slot in self._fired_ahead and any(is_kept(item.kept, slot) for item in self._rewinds)
