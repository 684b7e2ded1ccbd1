"""The only code that writes events, and the readers that must not miss one.

What differs between databases is in ``backend``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max, Model

from ..conf import conf
from ..core.clean_run.columns import CleanColumn
from ..core.clean_run.run import CleanRun, can_be_clean
from ..core.codec import Row, decode_rows
from ..core.events import Event
from ..errors import VersionConflict
from ..models import CronEvent
from ..signals import event_appended
from .backend import backend_of
from .clean_runs import PAGE_ENDS

__all__ = [
    "Appended",
    "RunPage",
    "Tail",
    "append",
    "append_batches",
    "append_next",
    "connection",
    "fence",
    "read",
    "read_stream",
    "run_pages",
    "stored_run_pages",
    "stores_runs",
    "tail",
]

log = logging.getLogger(__name__)

TRIES_MAX = 20
"""How often a writer yields to others of the same stream before it gives up."""
TAIL_EVENTS_MAX = 5_000
"""How many events one call of ``tail`` returns at most."""

FIRST_PAGE_EVENTS_MAX = 5_000
OTHERS_WANTED = 10_000
"""Pages of runs hold the more events the fewer of them have to be read one by one, because those
take some kilobytes each."""


@dataclass(slots=True)
class Appended:
    """What became of batches that were appended independently."""

    accepted: list[list[Event]] = field(default_factory=list)
    refused: list[list[Event]] = field(default_factory=list)
    """Another writer was first: read the stream again and decide again."""


class RunPage(NamedTuple):
    """A page of the log, with what it tells of runs without incident in one piece each."""

    clean: list[CleanRun]
    """Runs whose first event is in this page."""
    others: list[Row]
    """The events that belong to no clean run, in their order."""
    runs: int
    """How many clean runs there are, those in ``clean`` or those that were stored elsewhere."""
    position: int
    """There is no event between the last one of the page and this id."""


class Tail(NamedTuple):
    """A page of the log."""

    events: list[Event]
    position: int
    """Where to go on: no event at or before it will ever appear later."""


def connection() -> BaseDatabaseWrapper:
    """The database that holds the ledger."""
    return connections[conf().database]


def append(events: Sequence[Event]) -> None:
    """Append all of the events or none.

    Raises VersionConflict when a stream already has one of the versions, and lets Django's
    database errors through. Inside ``transaction.atomic`` the events become visible with it.
    """
    if not events:
        return
    db = connection()
    try:
        with transaction.atomic(using=db.alias):
            backend_of(db).insert(db, events)
    except IntegrityError as error:
        raise VersionConflict(events[0].stream, events[0].version) from error
    _announce(events)


def append_batches(batches: Iterable[list[Event]], *, durable: bool = True) -> Appended:
    """Append many batches at once; each is one stream's events, in order, without gaps.

    Each batch goes in whole or not at all. With ``durable`` they are committed when this returns:
    it refuses to run inside a transaction, because the runner acts on what was accepted. The
    common case is one COPY. Only when another writer took a version are they tried apart.
    """
    # So that two runners with the same streams wait for each other instead of deadlocking.
    ordered = sorted((batch for batch in batches if batch), key=lambda batch: batch[0].stream)
    result = Appended()
    if not ordered:
        return result
    db = connection()
    try:
        with transaction.atomic(using=db.alias, durable=durable):
            backend_of(db).insert(db, chain.from_iterable(ordered))
        result.accepted = ordered
    except IntegrityError:
        _append_apart(db, ordered, result, durable)
    for batch in result.accepted:
        _announce(batch)
    return result


def _append_apart(
    db: BaseDatabaseWrapper, batches: list[list[Event]], result: Appended, durable: bool
) -> None:
    singles = [batch for batch in batches if len(batch) == 1]
    with transaction.atomic(using=db.alias, durable=durable):
        taken = backend_of(db).insert_free(db, [batch[0] for batch in singles])
    for batch in singles:
        (result.accepted if batch[0].stream in taken else result.refused).append(batch)
    # ON CONFLICT works row by row and could let half of a longer batch in.
    for batch in batches:
        if len(batch) == 1:
            continue
        try:
            with transaction.atomic(using=db.alias, durable=durable):
                backend_of(db).insert(db, batch)
            result.accepted.append(batch)
        except IntegrityError:
            result.refused.append(batch)


def append_next(events: Sequence[Event]) -> None:
    """Append each event as the next of its stream, whatever version it carries.

    For facts that do not rest on a decision, such as a run's outcome. Raises VersionConflict
    when other writers are faster twenty times over.
    """
    waiting = list(events)
    for attempt in range(TRIES_MAX):
        if attempt or any(event.version < 1 for event in waiting):
            waiting = _with_next_versions(waiting)
        result = append_batches(_by_stream(waiting), durable=False)
        waiting = [event for batch in result.refused for event in batch]
        if not waiting:
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
    """The events of one stream in order. Complete without a fence: versions have no gaps."""
    rows = CronEvent.objects.using(connection().alias).filter(
        stream=stream, version__gt=after_version
    )
    return [row.to_event() for row in rows.order_by("version")]


def tail(position: int, limit: int = TAIL_EVENTS_MAX) -> Tail:
    """Events after ``position`` in the order of their ids, none of which is ever missed.

    When ids are missing in between, a writer may hold them in an open transaction. Then the
    reader waits, at most RQCRON_TAIL_WAIT_SECONDS, until every such writer is gone; if one stays,
    the page ends before the gap and the next call goes on from there.
    """
    events = read(position, None, limit)
    db = connection()
    if not backend_of(db).COMMITS_OUT_OF_ORDER:
        return Tail(events, events[-1].id or position if events else position)
    whole = _without_gap(events, position)
    if len(whole) == len(events):
        return Tail(events, position + len(events))
    safe = fence()
    if safe is None:
        return Tail(whole, position + len(whole))
    events = read(position, safe, limit)
    if len(events) == limit:
        return Tail(events, events[-1].id or position)
    return Tail(events, max(safe, position))


def read(after: int, until: int | None, limit: int) -> list[Event]:
    """Events with ``after < id <= until``, at most ``limit``. Only what lies before the fence is
    complete: use :func:`tail`, or take ``until`` from :func:`fence`.
    """
    db = connection()
    return decode_rows(backend_of(db).read(db, after, until, limit))


def run_pages(after: int, until: int, events: int, ahead: int) -> Generator[RunPage, None, None]:
    """All events with ``after < id <= until`` in pages of at most ``events``, those of runs without
    incident as one :class:`CleanRun` each, if they are over ``ahead`` events further. The others
    come without tracebacks.

    Where it can, the database looks for the next page while the caller works on this one.
    """
    db = connection()
    with backend_of(db).second_connection(db) as second:
        if second is None:
            yield from _run_pages(db, after, until, events, ahead, _read_clean)
            return
        found = _run_pages(second, after, until, events, ahead, _read_clean)
        with ThreadPoolExecutor(1, thread_name_prefix="rqcron-read") as reader:
            coming = reader.submit(next, found, None)
            while (page := coming.result()) is not None:
                coming = reader.submit(next, found, None)
                yield page


def stored_run_pages(
    table: type[Model],
    columns: Sequence[CleanColumn],
    after: int,
    until: int,
    events: int,
    ahead: int,
) -> Iterator[RunPage]:
    """The same, but runs without incident are only counted: the database puts each into ``table`` as
    a row of these ``columns``. Ask :func:`stores_runs` first whether it can."""
    db = connection()
    store_clean = backend_of(db).tables.store_clean_runs
    assert store_clean is not None, "this database does not store runs by itself"

    def stored(db: BaseDatabaseWrapper, *bounds: int) -> tuple[list[CleanRun], dict[UUID, int]]:
        return [], store_clean(db, table, columns, *bounds)

    yield from _run_pages(db, after, until, events, ahead, stored)


def stores_runs() -> bool:
    """Whether the database can put runs without incident into a table by itself."""
    return backend_of(connection()).tables.store_clean_runs is not None


def _read_clean(db: BaseDatabaseWrapper, *bounds: int) -> tuple[list[CleanRun], dict[UUID, int]]:
    found = backend_of(db).read_clean_runs(db, *bounds)
    return found, {run.run_id: run.last_id for run in found}


def _run_pages(
    db: BaseDatabaseWrapper,
    after: int,
    until: int,
    events: int,
    ahead: int,
    take_clean: Callable[..., tuple[list[CleanRun], dict[UUID, int]]],
) -> Iterator[RunPage]:
    over: dict[UUID, int] = {}
    """Plain runs that were told already but end behind their page, and where."""
    size = min(events, FIRST_PAGE_EVENTS_MAX)
    while after < until:
        page_end, window_end = _page_ends(db, after, until, size, ahead)
        clean, ends = take_clean(db, after, page_end, window_end) if can_be_clean() else ([], {})
        over |= ends
        others = backend_of(db).read_others(db, after, page_end, over)
        yield RunPage(clean, others, len(ends), page_end)
        over = {run: last for run, last in over.items() if last > page_end}
        after = page_end
        if len(others) > OTHERS_WANTED:
            size = max(size // 2, min(events, FIRST_PAGE_EVENTS_MAX))
        elif len(others) * 2 <= OTHERS_WANTED:
            size = min(size * 2, events)


def _page_ends(
    db: BaseDatabaseWrapper, after: int, until: int, events: int, ahead: int
) -> tuple[int, int]:
    with db.cursor() as cursor:
        bounds = {"after": after, "until": until}
        cursor.execute(PAGE_ENDS, {**bounds, "events": events - 1, "ahead": events + ahead - 1})
        page_end, window_end = cursor.fetchone()
    return page_end or until, window_end or until


def fence() -> int | None:
    """A position before which no event will ever appear; None when a writer stays too long."""
    db = connection()
    return backend_of(db).safe_position(db, conf().tail_wait_seconds)


def _without_gap(events: list[Event], position: int) -> list[Event]:
    for index, event in enumerate(events):
        if event.id != position + index + 1:
            return events[:index]
    return events


def _announce(events: Iterable[Event]) -> None:
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
