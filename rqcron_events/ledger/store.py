"""The only code that writes events, and the readers that must not miss one.

What differs between databases is in ``backend``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max

from ..conf import conf
from ..core.codec import Row, Unreadable
from ..core.events import Event
from ..errors import EventRefused, PositionAhead, PositionArchived, VersionConflict
from ..models import CronEvent
from ..signals import event_appended
from .backend import backend_of
from .insert import insert, insert_first_start, insert_free
from .reading import Readable, readable

__all__ = [
    "Appended",
    "Newest",
    "Tail",
    "Unfit",
    "announce",
    "append",
    "append_batches",
    "append_first_start",
    "append_free",
    "append_next",
    "connection",
    "fence",
    "newest",
    "read",
    "read_stream",
    "readable_stream",
    "require_in_log",
    "require_not_ahead",
    "tail",
]

log = logging.getLogger(__name__)

TRIES_MAX = 20
"""How often a writer yields to others of the same stream before it gives up."""
TAIL_EVENTS_MAX = 5_000
"""How many events one call of ``tail`` returns at most."""

STREAM_EVENTS_PER_QUERY = 5_000


class Unfit(NamedTuple):
    """A batch that the database never takes; the others are none the worse for it."""

    batch: list[Event]
    why: EventRefused


@dataclass(slots=True)
class Appended:
    """What became of batches that were appended independently."""

    accepted: list[list[Event]] = field(default_factory=list)
    refused: list[list[Event]] = field(default_factory=list)
    """Another writer was first, or the log went back: read the stream again and decide again."""
    unfit: list[Unfit] = field(default_factory=list)
    """Never to be written: deciding again at once gives the same."""


class Tail(NamedTuple):
    """A page of the log."""

    events: list[Event]
    position: int
    """Where to go on: no event at or before it will ever appear later."""
    unreadable: Sequence[Unreadable] = ()
    """Events of the page that cannot be read; ``events`` are the others."""


def connection() -> BaseDatabaseWrapper:
    """The database that holds the ledger."""
    return connections[conf().database]


def append(events: Sequence[Event]) -> None:
    """Append all of the events or none.

    Raises VersionConflict when a stream already has one of the versions, PredecessorMissing (which is
    one, too) when it does not have the version before, EventRefused for an event
    that can never be written, LedgerUnavailable when the table takes rows away, and lets Django's
    database errors through. Inside ``transaction.atomic`` the events become visible with it.
    """
    if not events:
        return
    db = connection()
    with transaction.atomic(using=db.alias):
        insert(db, events)
    announce(events)


def append_batches(batches: Iterable[list[Event]], *, durable: bool = True) -> Appended:
    """Append many batches at once; each is one stream's events, in order, without gaps.

    Each batch goes in whole or not at all. With ``durable`` they are committed when this returns:
    it refuses to run inside a transaction, because the runner acts on what was accepted. The
    common case is one COPY. Only when another writer took a version, or one of them can never be
    written, are they tried apart.
    """
    # So that two runners with the same streams wait for each other instead of deadlocking.
    ordered = sorted((batch for batch in batches if batch), key=lambda batch: batch[0].stream)
    result = Appended()
    if not ordered:
        return result
    db = connection()
    try:
        with transaction.atomic(using=db.alias, durable=durable):
            insert(db, list(chain.from_iterable(ordered)))
        result.accepted = ordered
    except (VersionConflict, EventRefused):
        _append_apart(db, ordered, result, durable)
    for batch in result.accepted:
        announce(batch)
    return result


def _append_apart(
    db: BaseDatabaseWrapper, batches: list[list[Event]], result: Appended, durable: bool
) -> None:
    _append_singles(db, [batch for batch in batches if len(batch) == 1], result, durable)
    # ON CONFLICT works row by row and could let half of a longer batch in.
    for batch in batches:
        if len(batch) == 1:
            continue
        try:
            with transaction.atomic(using=db.alias, durable=durable):
                insert(db, batch)
            result.accepted.append(batch)
        except VersionConflict:
            result.refused.append(batch)
        except EventRefused as why:
            result.unfit.append(Unfit(batch, why))


def _append_singles(
    db: BaseDatabaseWrapper, singles: list[list[Event]], result: Appended, durable: bool
) -> None:
    """By halves, so that one unfit event among thousands costs a few transactions."""
    try:
        with transaction.atomic(using=db.alias, durable=durable):
            written = insert_free(db, [batch[0] for batch in singles])
    except EventRefused as why:
        if len(singles) == 1:
            result.unfit.append(Unfit(singles[0], why))
            return
        half = len(singles) // 2
        _append_singles(db, singles[:half], result, durable)
        _append_singles(db, singles[half:], result, durable)
        return
    for batch in singles:
        (result.accepted if batch[0].stream in written else result.refused).append(batch)


def append_free(event: Event) -> bool:
    """Append one event in one statement, outside of any transaction; False when its version is taken, or
    the one before it is missing. It is not announced. Raises as :func:`append` does, but no
    VersionConflict.
    """
    return bool(insert_free(connection(), [event]))


def append_first_start(event: Event) -> int | None:
    """Append a run's first ``run_started`` in one statement, outside of any transaction, if there is nothing
    to judge: its stream holds ``run_enqueued`` of the same cron and slot, as this release writes it, or
    nothing yet. Returns its version, whatever it carries, and None otherwise. It is not announced. Raises as :func:`append` does.
    """
    return insert_first_start(connection(), event)


def append_next(events: Sequence[Event]) -> None:
    """Append each event as the next of its stream, whatever version it carries.

    For facts that do not rest on a decision, such as a run's outcome. Raises VersionConflict
    when other writers are faster twenty times over, and EventRefused for the first event that can
    never be written, once the streams of all others have theirs.
    """
    waiting = list(events)
    unfit: list[Unfit] = []
    for attempt in range(TRIES_MAX):
        if attempt or any(event.version < 1 for event in waiting):
            waiting = _with_next_versions(waiting)
        result = append_batches(_by_stream(waiting), durable=False)
        unfit += result.unfit
        waiting = [event for batch in result.refused for event in batch]
        if not waiting:
            if unfit:
                raise unfit[0].why
            return
    raise VersionConflict(waiting[0].stream, waiting[0].version)


def _by_stream(events: Sequence[Event]) -> list[list[Event]]:
    batches: dict[str, list[Event]] = {}
    for event in events:
        batches.setdefault(event.stream, []).append(event)
    return list(batches.values())


def _with_next_versions(events: Sequence[Event]) -> list[Event]:
    streams = sorted({event.stream for event in events})
    heads: dict[str, int] = {}
    for start in range(0, len(streams), 500):
        rows = (
            CronEvent.objects.using(connection().alias)
            .filter(stream__in=streams[start : start + 500])
            .order_by()
            .values_list("stream")
            .annotate(head=Max("version"))
        )
        heads.update(dict(rows))
    numbered: list[Event] = []
    for event in events:
        heads[event.stream] = heads.get(event.stream, 0) + 1
        numbered.append(replace(event, version=heads[event.stream]))
    return numbered


def read_stream(stream: str, after_version: int = 0) -> list[Event]:
    """The events of one stream in order. Complete without a fence: versions have no gaps.

    Raises UnreadableEvent when one of them cannot be read, and NewerEvent.
    """
    return readable_stream(stream, after_version).all()


def readable_stream(stream: str, after_version: int = 0) -> Readable:
    """The same, and what cannot be read beside it."""
    db = connection()
    rows: list[Row] = []
    while True:
        page = backend_of(db).read_stream(db, stream, after_version, STREAM_EVENTS_PER_QUERY)
        rows += page
        if len(page) < STREAM_EVENTS_PER_QUERY:
            return readable(db, rows)
        after_version = page[-1][2]


def tail(
    position: int, limit: int = TAIL_EVENTS_MAX, *, texts: bool = True, kept_to: int = 0
) -> Tail:
    """Events after ``position`` in the order of their ids, none of which is ever missed. Without
    ``texts`` they lack what stands apart: error messages, tracebacks and results, which no fold needs.

    When ids are missing in between, a writer may hold them in an open transaction. Then the
    reader waits, at most RQCRON_TAIL_WAIT_SECONDS, until every such writer is gone; if one stays,
    the page ends before the gap and the next call goes on from there.

    Raises PositionAhead when the log ends before the position: it went back; and PositionArchived when events
    behind it are in the archive. ``kept_to``: what an archive up to there left of them will do.
    """
    db = connection()
    backend = backend_of(db)
    rows = backend.read(db, position, None, limit)
    if not rows:
        require_not_ahead(position)
    whole = _without_gap(rows, position)
    if len(whole) == len(rows):
        return _page(db, rows, position + len(rows), texts=texts)
    safe = rows[-1][0]
    if backend.COMMITS_OUT_OF_ORDER:
        fenced = fence()
        if fenced is None:
            return _page(db, whole, position + len(whole), texts=texts)
        safe = fenced
        rows = backend.read(db, position, safe, limit)
    # After the last read: rows go only when their segment is there, and leave a gap.
    require_in_log(db, max(position, kept_to))
    end = rows[-1][0] if len(rows) == limit else max(safe, position)
    return _page(db, rows, end, texts=texts)


def require_in_log(db: BaseDatabaseWrapper, position: int) -> None:
    """Raises PositionArchived where rows behind the position may be gone. Ask after reading them."""
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT path, storage, last_id FROM rqcron_segment WHERE last_id > %s ORDER BY size",
            [position],
        )
        if found := cursor.fetchall():
            raise PositionArchived(position, found)


class Newest(NamedTuple):
    """What tells whether the log has changed."""

    id: int
    """0: the log is empty."""
    recorded_at: str | None
    """Another history has another event of that id. As a text, which no driver refuses: ``infinity`` is one, too."""


def newest() -> Newest:
    """The newest event that is committed now."""
    with connection().cursor() as cursor:  # who has nothing to do asks again and again
        cursor.execute(
            "SELECT id, CAST(recorded_at AS text) FROM rqcron_event ORDER BY id DESC LIMIT 1"
        )
        return Newest(*(cursor.fetchone() or (0, None)))


def require_not_ahead(position: int) -> None:
    """Raises PositionAhead when the log ends before the position. One beyond its newest event
    may be that of ids which were drawn and rolled back."""
    found = newest().id
    if position <= found:
        return
    safe = fence()
    if safe is not None and position > safe:
        raise PositionAhead(position, found)


def read(after: int, until: int, limit: int) -> Tail:
    """Events with ``after < id <= until``, at most ``limit``. Only what lies before the fence is
    complete: use :func:`tail`, or take ``until`` from :func:`fence`. Raises PositionArchived.
    """
    db = connection()
    rows = backend_of(db).read(db, after, until, limit)
    require_in_log(db, after)
    return _page(db, rows, rows[-1][0] if len(rows) == limit else until)


def _page(
    db: BaseDatabaseWrapper, rows: Sequence[Row], position: int, *, texts: bool = False
) -> Tail:
    events, unreadable = readable(db, rows, texts=texts)
    return Tail(events, position, unreadable)


def fence() -> int | None:
    """A position before which no event will ever appear; None when a writer stays too long."""
    db = connection()
    return backend_of(db).safe_position(db, conf().tail_wait_seconds)


def _without_gap(rows: list[Row], position: int) -> list[Row]:
    for index, row in enumerate(rows):
        if row[0] != position + index + 1:
            return rows[:index]
    return rows


def announce(events: Iterable[Event]) -> None:
    """Send the signal ``event_appended`` for each; a receiver that raises stops nobody."""
    if not event_appended.receivers:
        return
    for event in events:
        for receiver, answer in event_appended.send_robust(sender=CronEvent, event=event):
            if isinstance(answer, Exception):
                log.error(
                    "A receiver of event_appended raised %s: %s",
                    type(answer).__name__,
                    answer,
                    extra={"action": "receiver_failed", "receiver": repr(receiver)},
                )
