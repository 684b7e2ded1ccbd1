"""Stored rows as events, and what cannot be read beside them: one bad row must not hide the others.

An event that somebody accepted (``event_accepted``) is left out of both. One of a newer release is
no bad row, if such a release has written to this log: then nothing is guessed.

Folds need no texts, so they are put back only where somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import DatabaseError, DataError
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.codec import NewerEvent, Row, Unreadable, decode_readable
from ..core.cron_state import CronState, why_not_foldable
from ..core.events import Event, EventType
from ..core.events.keys import EVENT_STREAM, EVENT_VERSION, FORMAT
from ..core.events.make import LOG_FORMAT
from ..core.interventions.pauses import GlobalPauses
from ..errors import UnreadableEvent
from ..models import CronEvent, CronEventQuerySet, put_back
from .backend import backend_of

__all__ = ["Readable", "can_be_folded", "in_order", "not_accepted", "readable", "readable_rows"]


class Readable(NamedTuple):
    """Events in order, and those among them that cannot be read."""

    events: list[Event]
    unreadable: list[Unreadable]

    def all(self) -> list[Event]:
        """The events. Raises UnreadableEvent unless that is all."""
        if self.unreadable:
            raise UnreadableEvent(self.unreadable[0])
        return self.events


def readable(db: BaseDatabaseWrapper, rows: Sequence[Row], *, texts: bool = False) -> Readable:
    """With ``texts``, those that stand apart from their events are put back.

    Raises NewerEvent when a newer release wrote one of them, and announced itself.
    """
    events, unreadable = decode_readable(rows)
    for item in unreadable:
        if item.newer and _newer_release_wrote(db):
            raise NewerEvent(item.error)
    if texts:
        events = put_back(db.alias, events)
    return Readable(events, not_accepted(db, unreadable))


def readable_rows(
    rows: CronEventQuerySet, db: BaseDatabaseWrapper, *, texts: bool = False
) -> Readable:
    """The same for a question in Django's terms."""
    try:
        events = [row.fact() for row in rows]
        return Readable(put_back(db.alias, events) if texts else events, [])
    except Exception as error:  # a driver raises anything for what it cannot convert
        if isinstance(error, DatabaseError) and not isinstance(error, DataError):
            raise
    ids = list(rows.values_list("id", flat=True))
    stored = {row[0]: row for row in backend_of(db).read_ids(db, ids)}
    return readable(db, [stored[id_] for id_ in ids], texts=texts)


def can_be_folded(db: BaseDatabaseWrapper, event_id: int) -> bool:
    """Whether something can be made of an event by itself."""
    found = readable_rows(CronEvent.objects.using(db.alias).filter(id=event_id), db)
    return not found.unreadable and all(
        why_not_foldable(event, CronState(event.cron), GlobalPauses()) is None
        for event in found.events
    )


def not_accepted(db: BaseDatabaseWrapper, unreadable: Iterable[Unreadable]) -> list[Unreadable]:
    """Those that nobody has accepted."""
    unreadable = list(unreadable)
    if not unreadable:
        return []
    rows = CronEvent.objects.using(db.alias).filter(type=EventType.EVENT_ACCEPTED)
    accepted = {
        (data.get(EVENT_STREAM), data.get(EVENT_VERSION))
        for data in rows.order_by().values_list("data", flat=True)
        if isinstance(data, dict)
    }
    return [item for item in unreadable if (item.stream, item.version) not in accepted]


def in_order(
    events: Iterable[Event], unreadable: Sequence[Unreadable]
) -> Iterable[Event | Unreadable]:
    """Both in the order of the log."""
    if not unreadable:
        return events
    return sorted([*events, *unreadable], key=lambda item: item.id or 0)


def _newer_release_wrote(db: BaseDatabaseWrapper) -> bool:
    starts = CronEvent.objects.using(db.alias).filter(type=EventType.RUNNER_STARTED)
    return starts.filter(**{f"data__{FORMAT}__gt": LOG_FORMAT}).exists()
