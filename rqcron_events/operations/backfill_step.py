"""A backfill step by step, for callers that cannot wait for workers, such as a web page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ..core.backfill import BackfillSlot, SlotState
from .backfill import BackfillPlan, check_parallel, request_batch

__all__ = ["BackfillStep", "SlotProgress", "backfill_step", "count_slots", "progress_of"]


class SlotProgress(StrEnum):
    """How a slot of a backfill stands, between two steps."""

    WAITING = "waiting"
    """To be asked for."""
    OPEN = "open"
    """Its run is on its way."""
    DONE = "done"
    NOT_SUCCEEDED = "not_succeeded"
    """It was asked for, and its run ended otherwise."""
    ACTIVE = "active"
    """Left out, as in ``SlotState``; so is the next."""
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillStep:
    """What one step asked for."""

    asked: list[BackfillSlot]
    through: datetime | None
    """The last slot that this step or one before it asked for: where the next one goes on."""
    refused: list[str] = field(default_factory=list)
    """A sentence of why RQ does not take the jobs; they stay open."""


def backfill_step(
    plan: BackfillPlan,
    *,
    through: datetime | None = None,
    max_parallel: int = 1,
    reason: str = "",
    by: str | None = None,
) -> BackfillStep:
    """Ask for the next runs of a plan of now, oldest first, until ``max_parallel`` of its runs are open.

    ``through`` is that of the step before; None at the first. What failed up to there is not tried
    again: a backfill that begins anew does that. Calling it twice asks for the same runs once. Raises
    CronConfigError for a wrong number.
    """
    check_parallel(plan, max_parallel)
    free = max_parallel - len(plan.of_state(SlotState.OPEN))
    waiting = [item for item in plan.slots if progress_of(item, through) is SlotProgress.WAITING]
    batch = waiting[: max(free, 0)]
    refused = request_batch(plan, batch, reason, by) if batch else []
    last = batch[-1].slot if batch else through
    return BackfillStep(asked=batch, through=last, refused=refused)


def progress_of(item: BackfillSlot, through: datetime | None) -> SlotProgress:
    """How a slot stands after steps up to ``through``."""
    if item.state is not SlotState.TO_RUN:
        return SlotProgress(item.state.value)
    asked = through is not None and item.slot <= through
    return SlotProgress.NOT_SUCCEEDED if asked else SlotProgress.WAITING


def count_slots(slots: Collection[BackfillSlot], through: datetime | None) -> Counter[SlotProgress]:
    """How many slots of a plan stand how."""
    return Counter(progress_of(item, through) for item in slots)
