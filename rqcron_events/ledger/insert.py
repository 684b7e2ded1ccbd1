"""Putting events into the table, and what it means when the database does not take them as given.

Only a taken version is a conflict that deciding again can solve. What concerns one event must not
stop others (I10), and a row that was swallowed must not count as written (I3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.events import Event
from ..core.wording import clause
from ..errors import EventRefused, LedgerUnavailable, VersionConflict
from ..models import CronEvent
from .backend import backend_of
from .doors.refusal import Refusal
from .doors.words import apart

__all__ = ["insert", "insert_first_start", "insert_free"]

FIRST_START_TRIES_MAX = 2
"""The runner may append ``run_enqueued`` at the same moment."""


def insert(db: BaseDatabaseWrapper, events: Sequence[Event]) -> None:
    """Write all events, inside the caller's transaction, which ends with any of these errors:

    VersionConflict when another writer was first, PredecessorMissing when the log does not have what
    they come after, EventRefused when one of the events can never be
    written, LedgerUnavailable when the table does not do what it must. Others are Django's.
    """
    with _refusals(db, events):
        facts, texts = apart(events)
        written = backend_of(db).insert(db, facts, _needed(events))
    _require(db, len(events), written)
    backend_of(db).insert_texts(db, texts)


def insert_free(db: BaseDatabaseWrapper, events: Sequence[Event]) -> set[str]:
    """Write the events whose version is free and whose predecessor is there, one per stream; return
    the streams written.

    Raises as :func:`insert` does, but no VersionConflict.
    """
    if not events:
        return set()
    with _refusals(db, events):
        facts, texts = apart(events)
        with transaction.atomic(using=db.alias) if texts else nullcontext():
            written = backend_of(db).insert_free(db, facts)
            kept = [text for text in texts if text.stream in written]
            backend_of(db).insert_texts(db, kept)
    if len(written) < len(events):
        # Why can be seen: the version is taken, or what it comes after is missing. Any other row that
        # was not written was swallowed.
        wanted = {event.stream: event.version for event in events if event.stream not in written}
        versions = {n for version in wanted.values() for n in (version, version - 1)}
        rows = CronEvent.objects.using(db.alias).filter(stream__in=wanted, version__in=versions)
        there = set(rows.order_by().values_list("stream", "version"))
        free = {
            (stream, version)
            for stream, version in wanted.items()
            if (stream, version) not in there and (version == 1 or (stream, version - 1) in there)
        }
        _require(db, len(written) + len(free), len(written))
    return written


def insert_first_start(db: BaseDatabaseWrapper, event: Event) -> int | None:
    """Write a run's first start as the next of its stream, which holds ``run_enqueued`` at most; return its
    version. None: there is more, or the row was taken away.

    Raises as :func:`insert` does, but no VersionConflict.
    """
    for _ in range(FIRST_START_TRIES_MAX):
        try:
            with _refusals(db, [event]):
                version = backend_of(db).insert_first_start(db, event)
        except VersionConflict:
            continue
        if version is not None:
            return version
    return None


def _needed(events: Sequence[Event]) -> dict[str, int]:
    """By stream, the version before the first of these events."""
    first: dict[str, int] = {}
    for event in events:
        version = first.get(event.stream)
        if version is None or event.version < version:
            first[event.stream] = event.version
    return {stream: version - 1 for stream, version in first.items() if version > 1}


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
