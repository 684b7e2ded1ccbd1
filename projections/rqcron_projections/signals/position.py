"""How far a signal has read the log: its checkpoint, which is also what its writers lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from rqcron_events.core.events import Event
from rqcron_events.ledger import store
from rqcron_events.ledger.snapshot import MARKS_MAX, LogMark, marks_up_to
from rqcron_events.queries.figures import newest_event

from ..folds import crons
from ..models import Checkpoint
from ..projector import checkpoints, history_is_lost

__all__ = [
    "checkpoint",
    "lock",
    "lock_projections",
    "move",
    "position_of",
    "save_new",
]

BEHIND_EVENTS_MAX = 2_000
"""How far the projections may be behind the log: what is older is history, and nobody is told of it."""


def checkpoint(name: str) -> Checkpoint | None:
    return _points().filter(name=name).first()


def position_of(name: str) -> int:
    """The id of the last event that was read; before the first one, that of the projections."""
    point = checkpoint(name) or checkpoints([crons.PROJECTION])[0]
    return point.position


def lock_projections() -> Checkpoint | None:
    """Where a signal begins: as far as the rows of the crons are, which stay there until the end of the
    transaction. None when they have to get on first."""
    _points().filter(name=crons.NAME).update(updated_at=F("updated_at"))  # locks the row
    base = _points().get(name=crons.NAME)
    behind = newest_event() - base.position > BEHIND_EVENTS_MAX
    return None if behind or history_is_lost(base) else base


def save_new(
    name: str, version: int, position: int, now: datetime, before: Checkpoint | None
) -> bool:
    """The first checkpoint, or one that takes the place of another (``before``), and the row's lock; False
    when somebody else has moved that."""
    marks = [mark.to_data() for mark in marks_up_to(position)]
    values = {"version": version, "marks": marks, "updated_at": now, "position": position}
    if before is None:
        _points().bulk_create(
            [Checkpoint(name=name, version=-1, position=-1, updated_at=now)], ignore_conflicts=True
        )
        return bool(_points().filter(name=name, version=-1).update(**values))
    unmoved = _points().filter(name=name, position=before.position, updated_at=before.updated_at)
    return bool(unmoved.update(**values))


def move(point: Checkpoint, to: int, events: Sequence[Event], now: datetime) -> bool:
    """Take the row's lock, which whoever writes holds; False when somebody else moved it."""
    seen: list[Any] = [LogMark.of(event).to_data() for event in events[-MARKS_MAX:]]
    unmoved = _points().filter(name=point.name, position=point.position, version=point.version)
    marks = [*point.marks, *seen][-MARKS_MAX:]
    return bool(unmoved.update(position=to, marks=marks, updated_at=now))


def lock(name: str, now: datetime) -> bool:
    """As ``move`` does; False when the log was never followed, and nothing is known."""
    return bool(_points().filter(name=name).update(updated_at=now))


def _points() -> QuerySet[Checkpoint]:
    return Checkpoint.objects.using(store.connection().alias)
