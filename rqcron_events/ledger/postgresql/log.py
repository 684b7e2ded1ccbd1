"""The ledger on PostgreSQL: COPY, the reader-side fence, the triggers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import DeadlockDetected, LockNotAvailable

from ...clock import monotonic_seconds
from ...core.clean_run.run import CleanRun
from ...core.codec import CronRow, Row, encode_data, schema_version
from ...core.events import Event, EventType
from ...errors import LedgerUnavailable
from ..table_backend import TableBackend
from . import tables as tables_of_rows
from .clean_runs import CLEAN_RUNS, grouping_cursor
from .cursor import psycopg_cursor

tables: TableBackend = tables_of_rows

COMMITS_OUT_OF_ORDER = True
"""A sequence hands out ids before commit, so a higher id can become visible first."""

COPY_EVENTS_MIN = 8
"""Below this, one INSERT takes fewer round trips than COPY."""
FENCE_CLASS = 0x72716372
"""First half of the advisory lock's key ("rqcr"); the table's oid is the second half."""
TRIGGERS = ("rqcron_event_fence", "rqcron_event_no_change", "rqcron_event_no_truncate")

_COLUMNS = (
    "stream, version, type, schema_version, cron, run_id, attempt, scheduled_for, reason, actor, "
    "occurred_at, data"
)
_TYPES = "text, int, text, smallint, text, uuid, int, timestamptz, text, text, timestamptz, jsonb"


def insert(db: BaseDatabaseWrapper, events: Iterable[Event]) -> None:
    """Write all events; an IntegrityError means that a version is taken."""
    events = iter(events)
    few = list(islice(events, COPY_EVENTS_MIN))
    if len(few) < COPY_EVENTS_MIN:
        marks = ", ".join(["(" + ", ".join(["%s"] * 12) + ")"] * len(few))
        with db.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO rqcron_event ({_COLUMNS}) VALUES {marks}",  # noqa: S608
                [value for event in few for value in _row(event)],
            )
        return
    # psycopg's copy() is not wrapped by Django, so its errors are translated here.
    with (
        db.cursor() as cursor,
        db.wrap_database_errors,
        cursor.copy(f"COPY rqcron_event ({_COLUMNS}) FROM STDIN") as copy,
    ):
        for row in map(_row, chain(few, events)):
            copy.write_row(row)


def insert_free(db: BaseDatabaseWrapper, events: Sequence[Event]) -> set[str]:
    """Write the events whose version is free, one per stream; return the streams written."""
    if not events:
        return set()
    columns = list(zip(*map(_row, events), strict=True))
    arrays = ", ".join(f"%s::{name.strip()}[]" for name in _TYPES.split(","))
    with db.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rqcron_event ({_COLUMNS}) SELECT * FROM unnest({arrays}) "  # noqa: S608
            "ON CONFLICT (stream, version) DO NOTHING RETURNING stream",
            [list(column) for column in columns],
        )
        return {row[0] for row in cursor.fetchall()}


def _row(event: Event) -> tuple[Any, ...]:
    return (
        event.stream,
        event.version,
        event.type.value,
        schema_version(event.type),
        event.cron,
        str(event.run_id) if event.run_id else None,
        event.attempt,
        event.scheduled_for.isoformat() if event.scheduled_for else None,
        event.reason,
        event.actor,
        event.occurred_at.isoformat(),
        encode_data(event.data),
    )


_READ_COLUMNS = (
    "id, stream, version, type, schema_version, cron, uuid_send(run_id), attempt, scheduled_for, "
    "reason, actor, occurred_at, recorded_at"
)
_READ = f"""
    SELECT {_READ_COLUMNS}, data::text FROM rqcron_event
    WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
"""  # noqa: S608
_ID_MAX = 2**63 - 1


def read(db: BaseDatabaseWrapper, after: int, until: int | None, limit: int) -> list[Row]:
    """Stored events in the order of their ids."""
    with psycopg_cursor(db) as cursor:
        cursor.execute(_READ, [after, _ID_MAX if until is None else until, limit], binary=True)
        rows: list[Row] = cursor.fetchall()
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
    with psycopg_cursor(db) as cursor:
        # psycopg writes arrays element by element, which takes longer than the query.
        runs = ",".join([run.hex for run in clean])
        last = ",".join(map(str, clean.values()))
        values = [f"{{{runs}}}", f"{{{last}}}", after, until]
        cursor.execute(_READ_OTHERS, values, binary=True)
        rows: list[Row] = cursor.fetchall()
        return rows


@contextmanager
def second_connection(db: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper | None]:
    """For reading in another thread; None when it would not see what this one sees, or when the
    server or a pool has none to give."""
    if db.in_atomic_block:
        yield None
        return
    second = db.copy()
    second.inc_thread_sharing()
    try:
        second.ensure_connection()
    except DatabaseError:
        yield None
        return
    try:
        yield second
    finally:
        second.close()


def interrupt(db: BaseDatabaseWrapper) -> None:
    """End the statement that another thread is running on this connection."""
    connection: Any = db.connection
    connection.cancel()


def place(db: BaseDatabaseWrapper) -> str:
    """Where the database is, for people; without user or password."""
    given = db.settings_dict
    where = ":".join(str(given[key]) for key in ("HOST", "PORT") if given.get(key))
    return f"{db.display_name} {given['NAME']} at {where or 'the local socket'}"


_READ_CRON = """
    SELECT version, type, schema_version, scheduled_for, data->>'definition_version',
        CASE WHEN type IN ('slot_skipped', 'slot_missed')
            OR type = 'slot_fired' AND schema_version <> %s THEN data::text END
    FROM rqcron_event WHERE stream = %s AND version > %s AND version <= %s
    ORDER BY version LIMIT %s
"""


def read_cron(
    db: BaseDatabaseWrapper, stream: str, after: int, until: int, limit: int
) -> list[CronRow]:
    """A part of a cron's own stream, as little of it as an audit needs."""
    values = [schema_version(EventType.SLOT_FIRED), stream, after, until, limit]
    with psycopg_cursor(db) as cursor:
        cursor.execute(_READ_CRON, values, binary=True)
        rows: list[CronRow] = cursor.fetchall()
        return rows


GROUP_BY_RUN = "run_id"


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
        cursor.execute(
            "SELECT pg_sequence_last_value(pg_get_serial_sequence('rqcron_event', 'id')::regclass)"
        )
        mark = cursor.fetchone()[0] or 0
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


@contextmanager
def not_waiting(db: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
    with transaction.atomic(using=db.alias), db.cursor() as cursor:
        # For this transaction only: behind a pooler the session is not ours.
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{seconds * 1000:.0f}ms"])
        yield


def was_locked(error: DatabaseError) -> bool:
    return isinstance(error.__cause__, LockNotAvailable | DeadlockDetected)


def install_triggers(db: BaseDatabaseWrapper) -> None:
    with db.cursor() as cursor:
        for statement in _install_statements():
            cursor.execute(statement)


def remove_triggers(db: BaseDatabaseWrapper) -> None:
    with db.cursor() as cursor:
        for trigger in TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {trigger} ON rqcron_event")
        cursor.execute("DROP FUNCTION IF EXISTS rqcron_event_fence()")
        cursor.execute("DROP FUNCTION IF EXISTS rqcron_event_refuse()")


def set_append_only(db: BaseDatabaseWrapper, enabled: bool) -> None:
    """Only for tests: let Django's flush through, or stop it again."""
    with db.cursor() as cursor:
        for trigger in TRIGGERS[1:]:
            cursor.execute(
                f"ALTER TABLE rqcron_event {'ENABLE ALWAYS' if enabled else 'DISABLE'} "
                f"TRIGGER {trigger}"
            )


def missing_triggers(db: BaseDatabaseWrapper) -> list[str]:
    """Triggers that are absent or do not fire always."""
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'rqcron_event'::regclass "
            "AND tgenabled = 'A'"
        )
        present = {row[0] for row in cursor.fetchall()}
    return [trigger for trigger in TRIGGERS if trigger not in present]


def _install_statements() -> Iterator[str]:
    # A statement-level BEFORE trigger runs before the first nextval(), with COPY too.
    yield f"""
        CREATE OR REPLACE FUNCTION rqcron_event_fence() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared({FENCE_CLASS}, TG_RELID::int);
            RETURN NULL;
        END $$
    """
    yield """
        CREATE OR REPLACE FUNCTION rqcron_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rqcron_event is append-only: % refused', TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Append an event that corrects it instead.';
        END $$
    """
    for trigger in TRIGGERS:
        yield f"DROP TRIGGER IF EXISTS {trigger} ON rqcron_event"
    yield """
        CREATE TRIGGER rqcron_event_fence BEFORE INSERT ON rqcron_event
        FOR EACH STATEMENT EXECUTE FUNCTION rqcron_event_fence()
    """
    yield """
        CREATE TRIGGER rqcron_event_no_change BEFORE UPDATE OR DELETE ON rqcron_event
        FOR EACH ROW EXECUTE FUNCTION rqcron_event_refuse()
    """
    yield """
        CREATE TRIGGER rqcron_event_no_truncate BEFORE TRUNCATE ON rqcron_event
        FOR EACH STATEMENT EXECUTE FUNCTION rqcron_event_refuse()
    """
    for trigger in TRIGGERS:
        yield f"ALTER TABLE rqcron_event ENABLE ALWAYS TRIGGER {trigger}"
