"""Which past slots a backfill runs, and under which id. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from uuid import UUID, uuid5

from .cron_state import CronState
from .definition import RUN_NAMESPACE
from .events import EventType
from .schedule import slots_between

__all__ = [
    "Attempt",
    "BackfillSlot",
    "PastSlot",
    "SlotState",
    "backfill_run_id",
    "judge",
    "past_slots",
]

MOMENT = timedelta(microseconds=1)
FIRST = datetime.min.replace(tzinfo=UTC) + MOMENT
DONE = frozenset({EventType.RUN_SUCCEEDED, EventType.RUN_DECLINED})
"""Outcomes after which there is nothing left to do for a slot."""


class SlotState(StrEnum):
    """What a backfill does about a slot, or how it went."""

    TO_RUN = "to_run"
    OPEN = "open"
    """A run of this backfill is on its way already: it is waited for."""
    DONE = "done"
    """A run for the slot succeeded, or declined: left out."""
    ACTIVE = "active"
    """Another run for the slot has not ended yet: left out."""
    UNDECIDED = "undecided"
    """The runner has still to decide the slot: left to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSlot:
    """A slot that a definition promised, or would have."""

    slot: datetime
    definition_version: int
    before_registration: bool = False
    """Then it is a slot of today's schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A run for a slot, whoever asked for it."""

    run_id: UUID
    ours: bool
    """It belongs to the backfill that is planned."""
    outcome: EventType | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSlot:
    """One slot of a plan."""

    past: PastSlot
    state: SlotState
    run_id: UUID | None
    """The run to make or to wait for, or the one for which the slot is left out."""

    @property
    def slot(self) -> datetime:
        return self.past.slot


def past_slots(state: CronState, start: datetime, end: datetime, limit: int) -> list[PastSlot]:
    """At most ``limit`` slots with ``start <= slot < end``, oldest first.

    Each is of the definition that was in force then. Before the cron was registered, slots are
    those of its definition now, because that is what somebody asks for who backfills a new cron;
    while it was retired there are none.
    """
    after, until = (max(at, FIRST) - MOMENT for at in (start, end))
    return list(islice(_all_slots(state, after, until, limit), limit))


def _all_slots(
    state: CronState, after: datetime, until: datetime, limit: int
) -> Iterator[PastSlot]:
    first, last = state.phases[0], state.phases[-1]
    if state.definition is not None and after < min(until, first.start):
        for slot in slots_between(state.definition.schedule, after, min(until, first.start), limit):
            yield PastSlot(
                slot=slot, definition_version=last.definition_version, before_registration=True
            )
    for phase, following in pairwise([*state.phases, None]):
        assert phase is not None
        ends = min(until, following.start) if following else until
        # A definition that cannot be read any more must not matter to slots of others.
        if phase.definition is not None and max(after, phase.start) < ends:
            schedule = phase.definition.schedule
            for slot in slots_between(schedule, max(after, phase.start), ends, limit):
                yield PastSlot(slot=slot, definition_version=phase.definition_version)


def judge(
    cron: str, past: PastSlot, attempts: Sequence[Attempt], watermark: datetime | None, label: str
) -> BackfillSlot:
    """What to do about one slot.

    Without a label, runs of any kind count: what succeeded is left out. With one, only runs of
    that label count, so that each slot runs again once.
    """
    ours = [attempt for attempt in attempts if attempt.ours]
    counted = ours if label else attempts
    done = [attempt for attempt in counted if attempt.outcome in DONE]
    still_open = [attempt for attempt in counted if attempt.outcome is None]
    decided = past.before_registration or (watermark is not None and past.slot <= watermark)
    match done, still_open, decided:
        case [attempt, *_], _, _:
            found, run_id = SlotState.DONE, attempt.run_id
        case _, [attempt, *_], _:
            found = SlotState.OPEN if attempt.ours else SlotState.ACTIVE
            run_id = attempt.run_id
        case _, _, False:
            return BackfillSlot(past=past, state=SlotState.UNDECIDED, run_id=None)
        case _:
            found = SlotState.TO_RUN
            run_id = backfill_run_id(cron, past.slot, label, len(ours))
    return BackfillSlot(past=past, state=found, run_id=run_id)


def backfill_run_id(cron: str, slot: datetime, label: str = "", tried: int = 0) -> UUID:
    """UUIDv5 of the cron, the slot, the label and how many runs of the backfill failed before.

    So the same backfill, begun twice or by two people at once, asks for the same runs.
    """
    return uuid5(RUN_NAMESPACE, f"{cron}\0{int(slot.timestamp())}\0backfill\0{label}\0{tried}")
