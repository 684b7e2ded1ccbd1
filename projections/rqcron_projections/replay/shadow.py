"""A shadow: temporary tables in which a projection is built again, unseen by anybody else.

They belong to the database session, so a killed rebuild leaves nothing behind. A pooler may give
each transaction another session, and need not say so: on PostgreSQL, shadows live in one transaction.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ModelState, StateApps
from django.db.models import Model

from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.lookup import archived_to
from rqcron_events.ledger.quarantine import quarantined, set_aside
from rqcron_events.ledger.run_pages import run_pages, stored_run_pages, stores_runs
from rqcron_events.process.gc_pause import collection_paused

from ..fold_failed import reader_of
from ..past.kept import EVENTS_MIN, is_due, keep, may_be_due
from ..projection import Projection
from ..replay_hints import CleanRow
from ..tables import Tables
from .clean_run import (
    Page,
    page_of_events,
    page_without,
    pages_of_archive,
    pages_of_others,
    pages_of_runs,
)
from .fold import Replay

__all__ = [
    "LeftOut",
    "RebuildStopped",
    "Shadow",
    "built_by_database",
    "open_shadows",
    "replay_together",
]

PAGE_EVENTS_MAX = 50_000
"""Events of a page. Two pages are in memory: the one that is folded, and the one that is read."""
ARCHIVED_EVENTS_MAX = 10_000
"""Of a page of the archive, whose events come one by one."""
AHEAD_EVENTS_MAX = 10_000
"""How far a run without incident may reach beyond its page, to be read in one piece."""
COLLECT_PAGES = 10
"""Our pages leave no cycles; should something else, this bounds them."""


LeftOut = AbstractSet[tuple[str, int]]
"""Projections, and ids of events that each cannot fold."""


class RebuildStopped(Exception):
    """Its caller has given up."""


class Shadow:
    """The rows of one projection, replayed from the first event up to ``position``."""

    def __init__(
        self,
        projection: Projection,
        left_out: LeftOut = frozenset(),
        stopped: threading.Event | None = None,
        reader: BaseDatabaseWrapper | None = None,
    ) -> None:
        """``left_out`` are events that the projection cannot fold, besides those that are set aside.
        ``stopped`` is looked at between two steps; see ``session.Session``. ``reader`` is a second
        connection, for pages of runs."""
        self.projection = projection
        self.reader = reader
        self._stopped = stopped or threading.Event()
        self.position = 0
        self.events = 0
        self.kept_at: list[int] | None = None
        """Where the rows were kept, for somebody who says where (:meth:`keep_at`); None: it is done
        where it is due."""
        self.tables = Tables(
            projection=projection,
            stored_in={model: _twin(model) for model in projection.models},
        )
        self._replay = Replay(self.tables)
        self._without = {row.event_id for row in quarantined(reader_of(projection.name))}
        """Events that the live rows lack, too."""
        self._without |= {event_id for name, event_id in left_out if name == projection.name}

    def replay(self, until: int | None = None) -> None:
        """Go on to the end of the log, or to exactly the event ``until``, which is in rows that
        others have."""
        self._fold_all(_tail(self.position) if until is None else self._history(until))
        self.flush()

    def _fold_all(self, pages: Iterator[Page]) -> None:
        for page in pages:
            self.go_on()
            with collection_paused():
                self.fold(page)

    def go_on(self) -> None:
        """Raises RebuildStopped when the caller has given up."""
        if self._stopped.is_set():
            raise RebuildStopped(f"The rebuild of {self.projection.name!r} was stopped.")

    def _history(self, until: int) -> Iterator[Page]:
        """Pages of what no writer can add to any more, those of the archive first."""
        after = min(archived_to(), until)
        yield from pages_of_archive(self.position, after, ARCHIVED_EVENTS_MAX)
        yield from self._of_log(max(self.position, after), until)

    def _of_log(self, after: int, until: int) -> Iterator[Page]:
        clean = self.projection.replay.clean
        if clean is None:
            return _events(after, until)
        bounds = (after, until, PAGE_EVENTS_MAX, AHEAD_EVENTS_MAX)
        if not (isinstance(clean, CleanRow) and stores_runs()):
            return pages_of_runs(run_pages(*bounds, self.reader))
        rows = self.tables.rows_of(self.projection.row_model)
        columns = rows.in_order(clean.columns)
        return pages_of_others(stored_run_pages(rows.stored, columns, *bounds))

    def fold(self, page: Page) -> None:
        """Go on by a page. Not all of it is in the tables before :meth:`flush`."""
        new = [item for item in page.unreadable if item.id not in self._without]
        set_aside(reader_of(self.projection.name), new)
        self._replay.fold(page_without(page, self._without) if self._without else page)
        self.events += page.events
        before, self.position = self.position, page.position
        wanted = self.projection.past is not None and self.kept_at is None
        if wanted and may_be_due(before, self.position):
            stored_in, rows = self.tables.stored_in, self._replay.count_rows()
            if is_due(self.projection, stored_in, self.position, rows):
                self._keep(self.position)

    def keep_at(self, position: int) -> None:
        """Go on to this event, and keep the rows as they are there, as the live rows were."""
        assert self.kept_at is not None, "it is one way or the other"
        if position not in self.kept_at:
            self._fold_all(self._history(position))
            self._keep(position)
            self.kept_at.append(position)

    def _keep(self, position: int) -> None:
        with self._replay.rows_in_table():
            keep(self.projection, self.tables.stored_in, position)

    def flush(self) -> None:
        self._replay.flush()

    def differing_keys(
        self, limit: int, kept_from: datetime | None = None
    ) -> dict[type[Model], list[Any]]:
        """Primary keys, per model, of rows that are not the same in the live table; those that are removed
        there, or will be, do not count."""
        found: dict[type[Model], list[Any]] = {}
        for model, live, shadow, key, columns in self._names():
            condition, values = self._old(model, kept_from)
            where = f" WHERE NOT {condition}" if condition else ""
            found[model] = self._query(
                f"SELECT {key} FROM (SELECT {columns} FROM {live}{where} EXCEPT "  # noqa: S608
                f"SELECT {columns} FROM {shadow}{where}) AS unexpected UNION "
                f"SELECT {key} FROM (SELECT {columns} FROM {shadow}{where} EXCEPT "
                f"SELECT {columns} FROM {live}{where}) AS missing ORDER BY 1 LIMIT {limit}",
                values * 4,
            )
        return found

    def replace_live(self, kept_from: datetime | None = None) -> int:
        """Make the live tables equal to the shadow, without rows that are old by then; touch only what
        differs. Returns all rows."""
        total = 0
        db = store.connection()
        for model, _, shadow, *_ in self._names():
            condition, values = self._old(model, kept_from)
            if condition:
                self._run(f"DELETE FROM {shadow} WHERE {condition}", values)  # noqa: S608
        for model, live, shadow, key, columns in self._names():
            with backend_of(db).tables.indexes_off(db, model) as is_empty:
                if not is_empty:
                    self._run(
                        f"DELETE FROM {live} WHERE {key} IN (SELECT {key} FROM "  # noqa: S608
                        f"(SELECT {columns} FROM {live} EXCEPT SELECT {columns} FROM {shadow}) "
                        "AS wrong)"
                    )
                self._run(
                    f"INSERT INTO {live} ({columns}) SELECT {columns} FROM {shadow} "  # noqa: S608
                    f"WHERE NOT EXISTS (SELECT 1 FROM {live} WHERE {live}.{key} = {shadow}.{key})"
                )
            total += int(self._query(f"SELECT COUNT(*) FROM {shadow}")[0])  # noqa: S608
        return total

    def create(self) -> None:
        self.drop()
        db = store.connection()
        for model, twin in self.tables.stored_in.items():
            backend_of(db).tables.create_shadow(db, model, twin)
        past = self.projection.past
        if past is not None:  # each time that rows are kept, those of the time before are asked for
            table = db.ops.quote_name(self.tables.stored_in[past.rows]._meta.db_table)
            index = db.ops.quote_name(f"{past.rows._meta.db_table}_shadow_position")
            self._run(f"CREATE INDEX {index} ON {table} (position)")

    def analyze(self) -> None:
        """For the comparison of large tables that follows."""
        db = store.connection()
        for twin in self.tables.stored_in.values():
            backend_of(db).tables.analyze(db, twin)

    def drop(self) -> None:
        for _, _live, shadow, _key, _columns in self._names():
            self._run(f"DROP TABLE IF EXISTS {shadow}")

    def _names(self) -> Iterator[tuple[type[Model], str, str, str, str]]:
        """Model, live table, shadow table, primary key and all columns, quoted."""
        quote = store.connection().ops.quote_name
        for model, twin in self.tables.stored_in.items():
            fields = model._meta.concrete_fields
            yield (
                model,
                quote(model._meta.db_table),
                quote(twin._meta.db_table),
                quote(str(fields[0].column)),
                ", ".join(quote(str(field.column)) for field in fields),
            )

    def _old(self, model: type[Model], kept_from: datetime | None) -> tuple[str, list[Any]]:
        """The condition of rows that retention removes, with its values; empty where it removes none."""
        retention = self.projection.retention
        if retention is None or kept_from is None or model is not self.projection.row_model:
            return "", []
        return retention.old_sql(store.connection(), kept_from)

    def _run(self, statement: str, values: Sequence[Any] | None = None) -> None:
        with store.connection().cursor() as cursor:
            cursor.execute(statement, values or None)

    def _query(self, statement: str, values: Sequence[Any] | None = None) -> list[Any]:
        with store.connection().cursor() as cursor:
            cursor.execute(statement, values or None)
            return [row[0] for row in cursor.fetchall()]


def built_by_database(projection: Projection) -> bool:
    """Whether most of its rows get in by SQL, without a way through Python."""
    return isinstance(projection.replay.clean, CleanRow) and stores_runs()


def replay_together(shadows: Sequence[Shadow], until: int) -> None:
    """Bring empty shadows to the event ``until``, behind which there may be more, in one pass, and
    those that want the events of clean runs one by one in another."""
    after = min(archived_to(), until)
    if after:
        _fold_together(shadows, pages_of_archive(0, after, min(ARCHIVED_EVENTS_MAX, EVENTS_MIN)))
    in_one_piece = [shadow for shadow in shadows if shadow.projection.replay.clean is not None]
    if in_one_piece:
        reader = in_one_piece[0].reader
        # Where rows are kept they must be those of the events so far, not of a run in one piece.
        kept = any(shadow.projection.past is not None for shadow in in_one_piece)
        events = min(PAGE_EVENTS_MAX, EVENTS_MIN) if kept else PAGE_EVENTS_MAX
        pages = run_pages(after, until, events, 0 if kept else AHEAD_EVENTS_MAX, reader)
        with closing(pages):
            _fold_together(in_one_piece, pages_of_runs(pages))
    one_by_one = [shadow for shadow in shadows if shadow.projection.replay.clean is None]
    if one_by_one:
        _fold_together(one_by_one, _events(after, until))


def _fold_together(shadows: Sequence[Shadow], pages: Iterator[Page]) -> None:
    with collection_paused():
        for number, page in enumerate(pages, 1):
            for shadow in shadows:
                shadow.fold(page)
            if number % COLLECT_PAGES == 0:
                gc.collect(0)  # what the pages left; the rows in memory and all of Django can wait


def _events(position: int, until: int) -> Iterator[Page]:
    """Pages of all events in a part of the log that no writer can add to any more."""
    while position < until:
        page = store.read(position, until, PAGE_EVENTS_MAX)
        position = page.position
        yield page_of_events(page.events, position, page.unreadable)


def _tail(position: int) -> Iterator[Page]:
    """Pages up to the end as it is now."""
    while (page := store.tail(position, PAGE_EVENTS_MAX, texts=False)).position > position:
        position = page.position
        yield page_of_events(page.events, position, page.unreadable)


@contextmanager
def open_shadows(
    projections: Sequence[Projection],
    left_out: LeftOut = frozenset(),
    stopped: threading.Event | None = None,
) -> Iterator[list[Shadow]]:
    """An empty shadow of each, all in one session of the database; they are gone afterwards.

    What the block does to the live rows is done when it ends, or not at all.
    """
    db = store.connection()
    backend = backend_of(db)
    in_pieces = any(
        projection.replay.clean is not None and not built_by_database(projection)
        for projection in projections
    )
    # Taken before the transaction begins, because inside of one there is none to be had.
    second = backend.second_connection(db) if in_pieces else nullcontext()
    with second as reader, backend.in_one_session(db):
        shadows = [Shadow(projection, left_out, stopped, reader) for projection in projections]
        try:
            for shadow in shadows:
                shadow.create()
            yield shadows
        except BaseException:
            with suppress(Exception):  # a transaction that failed takes its tables along
                _drop(shadows)
            raise
        _drop(shadows)


def _drop(shadows: Sequence[Shadow]) -> None:
    for shadow in shadows:
        shadow.drop()


def _twin(model: type[Model]) -> type[Model]:
    """The same model over another table, outside of Django's own list of models."""
    state = ModelState.from_model(model)
    state.options = {
        "db_table": f"{model._meta.db_table}_shadow",
        "indexes": [],
        "constraints": [],
    }
    label = (state.app_label, state.name_lower)
    twin: type[Model] = StateApps([], {label: state}).get_model(*label)
    return twin
