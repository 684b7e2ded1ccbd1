"""Putting events into the table, and what it means when the database does not take them as given.

Only a taken version is a conflict that deciding again can solve. What concerns one event must not
stop others (I10), and a row that was swallowed must not count as written (I3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.events import Event
from ..core.wording import clause
from ..errors import EventRefused, LedgerUnavailable, VersionConflict
from ..models import CronEvent
from .backend import backend_of
from .doors.refusal import Refusal

__all__ = ["insert", "insert_free"]


def insert(db: BaseDatabaseWrapper, events: Sequence[Event]) -> None:
    """Write all events, inside the caller's transaction, which ends with any of these errors:

    VersionConflict when another writer was first, EventRefused when one of the events can never be
    written, LedgerUnavailable when the table does not do what it must. Others are Django's.
    """
    with _refusals(db, events):
        written = backend_of(db).insert(db, events)
    _require(db, len(events), written)


def insert_free(db: BaseDatabaseWrapper, events: Sequence[Event]) -> set[str]:
    """Write the events whose version is free, one per stream; return the streams written.

    Raises as :func:`insert` does, but no VersionConflict.
    """
    if not events:
        return set()
    with _refusals(db, events):
        written = backend_of(db).insert_free(db, events)
    if len(written) < len(events):
        # Taken versions can be seen; a row that is neither written nor there was swallowed.
        wanted = {event.stream: event.version for event in events if event.stream not in written}
        there = CronEvent.objects.using(db.alias).filter(
            stream__in=wanted, version__in=set(wanted.values())
        )
        taken = {
            stream
            for stream, version in there.order_by().values_list("stream", "version")
            if wanted[stream] == version
        }
        _require(db, len(events) - len(taken), len(written))
    return written


def _require(db: BaseDatabaseWrapper, asked: int, written: int) -> None:
    if asked != written:
        raise LedgerUnavailable(
            f"Database {db.alias!r} was given {asked} events and stored {written}: a trigger, a "
            "rule or a partition of rqcron_event takes rows away. Find it with: manage.py check "
            f"--database {db.alias}"
        )


@contextmanager
def _refusals(db: BaseDatabaseWrapper, events: Sequence[Event]) -> Iterator[None]:
    first = events[0]
    try:
        yield
    except DatabaseError as error:
        match backend_of(db).refusal(error):
            case None:
                raise
            case Refusal.VERSION_TAKEN:
                raise VersionConflict(first.stream, first.version) from error
            case Refusal.ID_TAKEN:
                raise LedgerUnavailable(
                    f"Database {db.alias!r} hands out ids of rqcron_event that exist already "
                    f"({' '.join(clause(error).split())}): {backend_of(db).IDS_BEHIND}"
                ) from error
            case Refusal.EVENT:
                raise EventRefused(first.stream, first.version, len(events), error) from error
    except (TypeError, ValueError, RecursionError) as error:  # no JSON, or no text
        raise EventRefused(first.stream, first.version, len(events), error) from error
