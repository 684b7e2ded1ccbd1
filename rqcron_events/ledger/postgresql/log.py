"""The ledger on PostgreSQL: COPY, the reader-side fence, the triggers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db import DataError as DjangoDataError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import DataError, Error, IntegrityError
from psycopg.errors import SequenceGeneratorLimitExceeded, UniqueViolation

from ...clock import monotonic_seconds
from ...core.clean_run.run import CleanRun
from ...core.codec import CronRow, Row, schema_version
from ...core.events import Event, EventType
from ...errors import LedgerUnavailable, PredecessorMissing
from ..doors.home import note
from ..doors.problem import Problem
from ..doors.refusal import Refusal
from ..table_backend import TableBackend
from . import inspection
from . import tables as tables_of_rows
from .archived import insert_archived as insert_archived
from .archived import with_archived as with_archived
from .array_text import array_text
from .checks import install_checks as install_checks
from .checks import remove_checks as remove_checks
from .clean_runs import CLEAN_RUNS, grouping_cursor
from .cursor import psycopg_cursor
from .event_row import COLUMNS, TYPES, event_row
from .first_start import insert_first_start as insert_first_start
from .inspection import disk_free_bytes as disk_free_bytes
from .inspection import event_bytes as event_bytes
from .inspection import log_bytes as log_bytes
from .probe import bounded_session as bounded_session
from .sessions import connect_within as connect_within
from .sessions import hang_up as hang_up
from .sessions import in_one_session as in_one_session
from .sessions import interrupt as interrupt
from .sessions import is_pooled as is_pooled
from .sessions import leave_pool as leave_pool
from .sessions import new_session as new_session
from .sessions import not_waiting as not_waiting
from .sessions import place as place
from .sessions import second_connection as second_connection
from .sessions import was_locked as was_locked
from .texts import insert_texts as insert_texts
from .triggers import FENCE_CLASS, FUNCTIONS, definitions
from .triggers import TRIGGERS as TRIGGERS
from .triggers import install_triggers as install_triggers
from .triggers import lift_for_migrations as lift_for_migrations
from .triggers import missing_triggers as missing_triggers
from .triggers import remove_triggers as remove_triggers
from .triggers import set_append_only as set_append_only

tables: TableBackend = tables_of_rows

COMMITS_OUT_OF_ORDER = True
"""A sequence hands out ids before commit, so a higher id can become visible first."""
MANY_WRITERS = True

COPY_EVENTS_MIN = 8
"""Below this, one INSERT takes fewer round trips than COPY."""
VERSION_CONSTRAINT = "rqcron_event_stream_version"

# The first stream whose version is not there, as this statement began. Parameters: two arrays.
_MISSING = """
    SELECT needed.stream FROM unnest(%s::text[], %s::int[]) AS needed (stream, version)
    WHERE NOT EXISTS (
        SELECT 1 FROM rqcron_event AS there
        WHERE there.stream = needed.stream AND there.version = needed.version
    ) LIMIT 1
"""


def insert(db: BaseDatabaseWrapper, events: Sequence[Event], needed: Mapping[str, int]) -> int:
    """Write all events; returns how many rows the database says it stored."""
    wanted: list[Any] = [array_text(needed), array_text(needed.values())]
    if len(events) < COPY_EVENTS_MIN:
        marks = ", ".join(["(" + ", ".join(["%s"] * 12) + ")"] * len(events))
        with db.cursor() as cursor:
            # RETURNING, because the count alone would include rows that a rule took elsewhere; and
            # what is missing in the same trip.
            cursor.execute(
                f"INSERT INTO rqcron_event ({COLUMNS}) VALUES {marks} "  # noqa: S608
                f"RETURNING tableoid, {f'({_MISSING})' if needed else 'NULL'}",
                [value for event in events for value in event_row(event)]
                + (wanted if needed else []),
            )
            stored = cursor.fetchall()
        _require_none_missing([row[1:] for row in stored[:1]], needed)
        for table in {row[0] for row in stored}:
            note(table)
        return len(stored)
    # psycopg's copy() is not wrapped by Django, so its errors are translated here.
    with db.cursor() as cursor, db.wrap_database_errors:
        if needed:
            cursor.execute(_MISSING, wanted)
            _require_none_missing(cursor.fetchall(), needed)
        with cursor.copy(f"COPY rqcron_event ({COLUMNS}) FROM STDIN") as copy:
            for row in map(event_row, events):
                copy.write_row(row)
        return int(cursor.rowcount)


def _require_none_missing(found: Sequence[tuple[Any, ...]], needed: Mapping[str, int]) -> None:
    for (stream,) in found:
        if stream is not None:
            raise PredecessorMissing(stream, needed[stream] + 1)


IDS_BEHIND = (
    "its sequence is behind, as after a failover by logical replication. Run: SELECT "
    "setval(pg_get_serial_sequence('rqcron_event', 'id'), (SELECT max(id) FROM rqcron_event))"
)


def refusal(error: DatabaseError) -> Refusal | None:
    """Why an insert failed, when that says something about the events or the ids."""
    cause = error.__cause__
    if not isinstance(cause, Error):
        return None
    if isinstance(cause, UniqueViolation) and cause.diag.table_name == "rqcron_event":
        if cause.diag.constraint_name == VERSION_CONSTRAINT:
            return Refusal.VERSION_TAKEN
        if cause.diag.constraint_name == "rqcron_event_pkey":
            return Refusal.ID_TAKEN
    if isinstance(cause, SequenceGeneratorLimitExceeded):
        return Refusal.ID_TAKEN
    # Classes: a constraint, a value, or one that is too long or too deep for the server.
    if isinstance(cause, IntegrityError | DataError) or (cause.sqlstate or "").startswith("54"):
        return Refusal.EVENT
    return None


def insert_free(db: BaseDatabaseWrapper, events: Sequence[Event]) -> set[str]:
    """Write the events whose version is free and whose predecessor is there, one per stream; return
    the streams written."""
    if not events:
        return set()
    columns = list(zip(*map(event_row, events), strict=True))
    arrays = ", ".join(f"%s::{name.strip()}[]" for name in TYPES.split(","))
    with db.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rqcron_event ({COLUMNS}) SELECT * FROM unnest({arrays}) "  # noqa: S608
            f"AS new ({COLUMNS}) WHERE version = 1 OR EXISTS (SELECT 1 FROM rqcron_event AS there "
            "WHERE there.stream = new.stream AND there.version = new.version - 1) "
            "ON CONFLICT (stream, version) DO NOTHING RETURNING stream",
            [list(column) for column in columns],
        )
        return {row[0] for row in cursor.fetchall()}


_READ_COLUMNS = (
    "id, stream, version, type, schema_version, cron, uuid_send(run_id), attempt, scheduled_for, "
    "reason, actor, occurred_at, recorded_at"
)
_IN_RANGE = " AND ".join(
    f"{column} BETWEEN '0001-01-03+00' AND '9999-12-29+00'"
    for column in ("COALESCE(scheduled_for, occurred_at)", "occurred_at", "recorded_at")
)
_COLUMNS_IN_RANGE = (
    "id, stream, version, type, schema_version, cron, uuid_send(run_id), attempt, "
    f"CASE WHEN {_IN_RANGE} THEN scheduled_for END, reason, actor, "
    f"CASE WHEN {_IN_RANGE} THEN occurred_at END, CASE WHEN {_IN_RANGE} THEN recorded_at END"
)
_READ = f"""
    SELECT {_READ_COLUMNS}, data::text FROM rqcron_event
    WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
"""  # noqa: S608
_READ_STREAM = f"""
    SELECT {_READ_COLUMNS}, data::text FROM rqcron_event
    WHERE stream = %s AND version > %s ORDER BY version LIMIT %s
"""  # noqa: S608
_READ_IDS = f"""
    SELECT {_READ_COLUMNS}, data::text FROM rqcron_event WHERE id = ANY(%s::bigint[]) ORDER BY id
"""  # noqa: S608
_ID_MAX = 2**63 - 1


def read(db: BaseDatabaseWrapper, after: int, until: int | None, limit: int) -> list[Row]:
    """Stored events in the order of their ids."""
    return _fetch(db, _READ, [after, _ID_MAX if until is None else until, limit])


def read_stream(db: BaseDatabaseWrapper, stream: str, after: int, limit: int) -> list[Row]:
    """Stored events of one stream in the order of their versions."""
    return _fetch(db, _READ_STREAM, [stream, after, limit])


def read_ids(db: BaseDatabaseWrapper, ids: Sequence[int]) -> list[Row]:
    """The stored events of these ids, in their order."""
    return _fetch(db, _READ_IDS, [list(ids)])


def _fetch(db: BaseDatabaseWrapper, statement: str, values: list[Any]) -> list[Row]:
    """A time that Python does not have, such as infinity, must not hide the rows beside it."""
    rows: list[Row]
    try:
        with psycopg_cursor(db) as cursor:
            cursor.execute(statement, values, binary=True)
            rows = cursor.fetchall()
    except DjangoDataError:
        with psycopg_cursor(db) as cursor:
            in_range = statement.replace(_READ_COLUMNS, _COLUMNS_IN_RANGE)
            cursor.execute(in_range, values, binary=True)
            rows = cursor.fetchall()
    return rows


def read_clean_runs(db: BaseDatabaseWrapper, after: int, until: int, ahead: int) -> list[CleanRun]:
    """Runs without incident that begin in ``after < id <= until`` and are over by ``ahead``."""
    with grouping_cursor(db) as cursor:
        bounds = {"after": after, "until": until, "ahead": ahead}
        cursor.execute(CLEAN_RUNS, bounds, binary=True)
        return list(map(CleanRun._make, cursor.fetchall()))


# A join, because PostgreSQL before 15 compares each row with each element of <> ALL.
_READ_OTHERS = f"""
    SELECT {_READ_COLUMNS}, (data #- '{{error,traceback}}')::text
    FROM rqcron_event LEFT JOIN unnest(%s::uuid[], %s::bigint[]) AS clean (run, last)
        ON clean.run = run_id AND id <= clean.last
    WHERE id > %s AND id <= %s AND clean.run IS NULL ORDER BY id
"""  # noqa: S608


def read_others(
    db: BaseDatabaseWrapper, after: int, until: int, clean: Mapping[UUID, int]
) -> list[Row]:
    """Stored events with ``after < id <= until`` but those of these runs up to these ids, without
    their tracebacks, which are most of their bytes."""
    # psycopg writes arrays element by element, which takes longer than the query.
    runs = ",".join([run.hex for run in clean])
    last = ",".join(map(str, clean.values()))
    return _fetch(db, _READ_OTHERS, [f"{{{runs}}}", f"{{{last}}}", after, until])


_READ_CRON = """
    SELECT version, type, schema_version, scheduled_for, data->>'definition_version',
        CASE WHEN type IN ('slot_skipped', 'slot_missed') OR jsonb_typeof(data) <> 'object'
            OR type = 'slot_fired' AND schema_version <> %s THEN data::text END
    FROM rqcron_event WHERE stream = %s AND version > %s AND version <= %s
    ORDER BY version LIMIT %s
"""
_READ_CRON_IN_RANGE = _READ_CRON.replace(
    "scheduled_for,",
    "CASE WHEN scheduled_for BETWEEN '0001-01-03+00' AND '9999-12-29+00' THEN scheduled_for END,",
)


def read_cron(
    db: BaseDatabaseWrapper, stream: str, after: int, until: int, limit: int
) -> list[CronRow]:
    """A part of a cron's own stream, as little of it as an audit needs."""
    values = [schema_version(EventType.SLOT_FIRED), stream, after, until, limit]
    rows: list[CronRow]
    try:
        with psycopg_cursor(db) as cursor:
            cursor.execute(_READ_CRON, values, binary=True)
            rows = cursor.fetchall()
    except DjangoDataError:  # as in _fetch
        with psycopg_cursor(db) as cursor:
            cursor.execute(_READ_CRON_IN_RANGE, values, binary=True)
            rows = cursor.fetchall()
    return rows


GROUP_BY_RUN = "run_id"


# One statement: its snapshot is older than the mark, so no id in it can be above a sound sequence.
_MARK = """
    SELECT seqrelid::regclass::text, seqcache, seqincrement,
        has_sequence_privilege(seqrelid, 'USAGE, SELECT'), pg_is_in_recovery(),
        CASE WHEN NOT pg_is_in_recovery() AND has_sequence_privilege(seqrelid, 'USAGE, SELECT')
            THEN pg_sequence_last_value(seqrelid) END,
        (SELECT COALESCE(max(id), 0) FROM rqcron_event)
    FROM (SELECT pg_get_serial_sequence('rqcron_event', 'id')::regclass AS name) AS found
        LEFT JOIN pg_sequence ON seqrelid = name
"""


def clock_seconds(db: BaseDatabaseWrapper) -> float:
    with db.cursor() as cursor:  # now() is when the transaction began
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(cursor.fetchone()[0])


def safe_position(db: BaseDatabaseWrapper, wait_seconds: float) -> int | None:
    """The highest id below which no event can still appear, or None when a writer stays too long.

    Every insert takes a shared advisory lock before it draws an id (trigger ``..._fence``). So:
    note the last id drawn, then wait for those who hold the lock now; whoever drew an id at or
    below the mark is among them or has finished. Later writers draw higher ids. The reader never
    asks for the lock itself: an exclusive request would queue all writers behind a slow one.
    """
    with db.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        isolation = cursor.fetchone()[0]
        if db.in_atomic_block and isolation != "read committed":
            raise LedgerUnavailable(
                f"The log cannot be tailed inside a {isolation} transaction: its snapshot hides "
                "events that are committed later with lower ids. Read outside of it."
            )
        cursor.execute(_MARK)
        name, cache, increment, may_read, standby, mark, newest = cursor.fetchone()
        if standby:
            raise LedgerUnavailable(
                f"Database {db.alias!r} is a hot standby: its sequence runs ahead of its rows, so a "
                "reader would miss events. Point RQCRON_DATABASE to the primary."
            )
        if name is None or not may_read:
            raise LedgerUnavailable(
                f"The sequence of rqcron_event.id in database {db.alias!r} cannot be read by this "
                "role. Run: GRANT USAGE, SELECT ON SEQUENCE rqcron_event_id_seq TO ..."
            )
        if cache != 1 or increment < 1:
            raise LedgerUnavailable(
                f"Sequence {name} has CACHE {cache} and INCREMENT {increment}: ids are not handed "
                f"out in order, so a reader would miss events. Run: ALTER SEQUENCE {name} CACHE 1 "
                "INCREMENT 1, and restart what writes events."
            )
        mark = mark or 0
        if newest > mark:
            raise LedgerUnavailable(
                f"Sequence {name} stands at {mark}, but rqcron_event has id {newest}: {IDS_BEHIND}"
            )
        deadline = monotonic_seconds() + wait_seconds
        waiting = _writers(cursor)
        pause = 0.001
        while waiting:
            if monotonic_seconds() >= deadline:
                return None
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
            waiting &= _writers(cursor)
        return int(mark)


def _writers(cursor: Any) -> set[tuple[int, str]]:
    cursor.execute(
        "SELECT pid, virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid = %s AND objid = 'rqcron_event'::regclass::oid AND objsubid = 2 "
        "AND pid IS DISTINCT FROM pg_backend_pid()",
        [FENCE_CLASS],
    )
    return set(cursor.fetchall())


def problems(db: BaseDatabaseWrapper) -> list[Problem]:
    """What is not as the migrations made it."""
    triggers = {
        name: f"CREATE TRIGGER {name} {what}"
        for by_name in definitions(db).values()
        for name, what in by_name.items()
    }
    return inspection.problems(db, triggers, FUNCTIONS, VERSION_CONSTRAINT, IDS_BEHIND)
