"""The log in pages for a replay, with each run without incident in one piece."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db import DataError, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..core.clean_run.columns import CleanColumn
from ..core.clean_run.run import CleanRun, can_be_clean
from ..core.codec import Row
from ..core.wording import clause
from .backend import backend_of
from .clean_runs import PAGE_ENDS
from .store import connection, require_in_log

__all__ = ["RunPage", "run_pages", "stored_run_pages", "stores_runs"]

log = logging.getLogger(__name__)

FIRST_PAGE_EVENTS_MAX = 5_000
OTHERS_WANTED = 10_000
"""Pages of runs hold the more events the fewer of them have to be read one by one, because those
take some kilobytes each."""


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


def run_pages(
    after: int,
    until: int,
    events: int,
    ahead: int,
    beside: BaseDatabaseWrapper | None = None,
) -> Generator[RunPage, None, None]:
    """All events with ``after < id <= until`` in pages of at most ``events``, those of runs without
    incident as one :class:`CleanRun` each, if they are over ``ahead`` events further. The others
    come without tracebacks.

    Where it can, the database looks for the next page while the caller works on this one; with
    ``beside``, a second connection, inside a transaction too.
    """
    db = connection()
    own = backend_of(db).second_connection(db) if beside is None else nullcontext(beside)
    with own as second:
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
        clean, ends = _clean_or_none(partial(take_clean, db, after, page_end, window_end))
        over |= ends
        others = backend_of(db).read_others(db, after, page_end, over)
        require_in_log(db, after)
        yield RunPage(clean, others, len(ends), page_end)
        over = {run: last for run, last in over.items() if last > page_end}
        after = page_end
        if len(others) > OTHERS_WANTED:
            size = max(size // 2, min(events, FIRST_PAGE_EVENTS_MAX))
        elif len(others) * 2 <= OTHERS_WANTED:
            size = min(size * 2, events)


def _clean_or_none(
    take_clean: Callable[[], tuple[list[CleanRun], dict[UUID, int]]],
) -> tuple[list[CleanRun], dict[UUID, int]]:
    """One value that is not what it must be fails the statement for the whole page: then it is read
    event by event, and that event can be told from the others."""
    if not can_be_clean():
        return [], {}
    try:
        return take_clean()
    except (
        DataError,
        IntegrityError,
        ValueError,
        TypeError,
        OverflowError,
        AttributeError,
    ) as error:
        log.warning(
            "A page of the log is read event by event: %s",
            clause(error),
            extra={"action": "page_not_clean"},
        )
        return [], {}


def _page_ends(
    db: BaseDatabaseWrapper, after: int, until: int, events: int, ahead: int
) -> tuple[int, int]:
    with db.cursor() as cursor:
        bounds = {"after": after, "until": until}
        cursor.execute(PAGE_ENDS, {**bounds, "events": events - 1, "ahead": events + ahead - 1})
        page_end, window_end = cursor.fetchone()
    return page_end or until, window_end or until
