"""The ledger on SQLite: one writer at a time, so ids commit in order and no fence is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.clean_run.run import CleanRun
from ...core.codec import CronRow, Row, schema_version
from ...core.events import Event, EventType
from ...core.events.keys import DURATION_SECONDS, LATENESS_SECONDS, QUEUE
from ...errors import PredecessorMissing
from ..clean_runs import clean_runs_statement
from ..doors.problem import Problem
from ..doors.refusal import Refusal
from ..table_backend import TableBackend
from . import inspection
from . import tables as tables_of_rows
from .archived import insert_archived as insert_archived
from .archived import with_archived as with_archived
from .event_row import COLUMNS, event_row
from .first_start import insert_first_start as insert_first_start
from .inspection import disk_free_bytes as disk_free_bytes
from .inspection import event_bytes as event_bytes
from .inspection import log_bytes as log_bytes
from .sessions import bounded_session as bounded_session
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
from .triggers import SEGMENT_TRIGGERS, THIS_ID, THIS_VERSION, has_segments, trigger_statements
from .triggers import TRIGGERS as TRIGGERS

tables: TableBackend = tables_of_rows

COMMITS_OUT_OF_ORDER = False
"""The write lock is held from the first insert to the commit, and AUTOINCREMENT never reuses."""
MANY_WRITERS = False


# All rows travel as one JSON parameter, so no limit on the number of parameters applies, and the
# first statement of the transaction is the INSERT: it waits for the write lock instead of failing.
_INSERT = f"""
    INSERT INTO rqcron_event ({COLUMNS})
    SELECT {", ".join(f"json_extract(row.value, '$[{n}]')" for n in range(12))}
    FROM json_each(%s) AS row
"""  # noqa: S608
_ONLY_FREE = """
    WHERE NOT EXISTS (
        SELECT 1 FROM rqcron_event AS taken
        WHERE taken.stream = json_extract(row.value, '$[0]')
          AND taken.version = json_extract(row.value, '$[1]')
    ) AND (json_extract(row.value, '$[1]') = 1 OR EXISTS (
        SELECT 1 FROM rqcron_event AS there
        WHERE there.stream = json_extract(row.value, '$[0]')
          AND there.version = json_extract(row.value, '$[1]') - 1
    ))
    RETURNING stream
"""
_MISSING = """
    SELECT needed.key FROM json_each(%s) AS needed
    WHERE NOT EXISTS (
        SELECT 1 FROM rqcron_event AS there
        WHERE there.stream = needed.key AND there.version = needed.value
    ) LIMIT 1
"""


def insert(db: BaseDatabaseWrapper, events: Sequence[Event], needed: Mapping[str, int]) -> int:
    """Write all events; returns how many rows the database says it stored."""
    with db.cursor() as cursor:
        cursor.execute(_INSERT, [_rows(events)])
        stored = int(cursor.rowcount)
        if needed:  # after the write lock is taken
            cursor.execute(_MISSING, [json.dumps(needed)])
            for (stream,) in cursor.fetchall():
                raise PredecessorMissing(stream, needed[stream] + 1)
    return stored


IDS_BEHIND = (
    "rows of sqlite_sequence were changed. Run: UPDATE sqlite_sequence SET seq = "
    "(SELECT max(id) FROM rqcron_event) WHERE name = 'rqcron_event'"
)


def refusal(error: DatabaseError) -> Refusal | None:
    """Why an insert failed, when that says something about the events or the ids."""
    text = str(error)
    if THIS_VERSION in text or "rqcron_event.stream, rqcron_event.version" in text:
        return Refusal.VERSION_TAKEN
    if THIS_ID in text or "rqcron_event.id" in text:
        return Refusal.ID_TAKEN
    return Refusal.EVENT if isinstance(error, IntegrityError | DataError) else None


def insert_free(db: BaseDatabaseWrapper, events: Sequence[Event]) -> set[str]:
    """Write the events whose version is free and whose predecessor is there, one per stream; return
    the streams written."""
    if not events:
        return set()
    with db.cursor() as cursor:
        cursor.execute(_INSERT + _ONLY_FREE, [_rows(events)])
        return {row[0] for row in cursor.fetchall()}


def _rows(events: Iterable[Event]) -> str:
    return json.dumps([event_row(event) for event in events], ensure_ascii=False)


def read(db: BaseDatabaseWrapper, after: int, until: int | None, limit: int) -> list[Row]:
    """Stored events in the order of their ids."""
    return _fetch(db, _READ, [after, _ID_MAX if until is None else until, limit])


def read_stream(db: BaseDatabaseWrapper, stream: str, after: int, limit: int) -> list[Row]:
    """Stored events of one stream in the order of their versions."""
    return _fetch(db, _READ_STREAM, [stream, after, limit])


def read_ids(db: BaseDatabaseWrapper, ids: Sequence[int]) -> list[Row]:
    """The stored events of these ids, in their order."""
    return _fetch(db, _READ_IDS, [json.dumps(list(ids))])


def _fetch(db: BaseDatabaseWrapper, statement: str, values: list[Any]) -> list[Row]:
    """Times as Django's connection reads them; where it cannot, as text, row by row."""
    try:
        with db.cursor() as cursor:
            cursor.execute(statement, values)
            return list(map(_stored, cursor.fetchall()))
    except (ValueError, OverflowError):
        with db.cursor() as cursor:
            cursor.execute(statement.replace(_READ_COLUMNS, _TEXT_COLUMNS), values)
            return list(map(_stored_as_text, cursor.fetchall()))


def read_clean_runs(db: BaseDatabaseWrapper, after: int, until: int, ahead: int) -> list[CleanRun]:
    """Runs without incident that begin in ``after < id <= until`` and are over by ``ahead``."""
    with db.cursor() as cursor:
        cursor.execute(_CLEAN_RUNS, {"after": after, "until": until, "ahead": ahead})
        rows = cursor.fetchall()
    told = ",".join([row[place] for row in rows for place in (7, 8, 13)])
    documents = iter(json.loads(f"[{told}]"))
    parse = datetime.fromisoformat
    return [
        CleanRun(
            UUID(run), cron, first, last, parse(slot), parse(decided), runner,
            _number(next(documents).get(LATENESS_SECONDS)), next(documents).get(QUEUE) or "",
            parse(enqueued), parse(started), worker, parse(finished),
            _number(next(documents).get(DURATION_SECONDS)),
        )
        for run, cron, first, last, slot, decided, runner, _, _, enqueued, started, worker,
            finished, _ in rows
    ]  # fmt: skip


def read_others(
    db: BaseDatabaseWrapper, after: int, until: int, clean: Mapping[UUID, int]
) -> list[Row]:
    """Stored events with ``after < id <= until`` but those of these runs up to these ids, without
    their tracebacks, which are most of their bytes."""
    ends = {run.hex: last for run, last in clean.items()}
    try:
        with db.cursor() as cursor:
            cursor.execute(_READ_OTHERS, [after, until])
            return [_stored(row) for row in cursor if row[0] > ends.get(row[6], 0)]
    except (ValueError, OverflowError):
        with db.cursor() as cursor:
            cursor.execute(_READ_OTHERS.replace(_READ_COLUMNS, _TEXT_COLUMNS), [after, until])
            return [_stored_as_text(row) for row in cursor if row[0] > ends.get(row[6], 0)]


def _number(value: float | None) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is not a number of seconds")
    return float(value)


_READ_COLUMNS = (
    "id, stream, version, type, schema_version, cron, run_id, attempt, scheduled_for, reason, actor, "
    "occurred_at, recorded_at"
)
# What has no declared type is not parsed by Django's connection.
_TEXT_COLUMNS = (
    "id, stream, version, type, schema_version, cron, run_id, attempt, scheduled_for || '', reason, "
    "actor, occurred_at || '', recorded_at || ''"
)
_HAS_SLOT = "scheduled_for IS NOT NULL"
_READ = f"""
    SELECT {_READ_COLUMNS}, data, {_HAS_SLOT} FROM rqcron_event
    WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
"""  # noqa: S608
_READ_STREAM = f"""
    SELECT {_READ_COLUMNS}, data, {_HAS_SLOT} FROM rqcron_event
    WHERE stream = %s AND version > %s
    ORDER BY version LIMIT %s
"""  # noqa: S608
_READ_IDS = f"""
    SELECT {_READ_COLUMNS}, data, {_HAS_SLOT} FROM rqcron_event
    WHERE id IN (SELECT value FROM json_each(%s)) ORDER BY id
"""  # noqa: S608
_READ_OTHERS = f"""
    SELECT {_READ_COLUMNS}, json_remove(data, '$.error.traceback'), {_HAS_SLOT}
    FROM rqcron_event WHERE id > %s AND id <= %s ORDER BY id
"""  # noqa: S608
_ID_MAX = 2**63 - 1


def _stored(row: tuple[Any, ...]) -> Row:
    """Django's connection makes None of most texts that are no time."""
    slot, occurred_at, recorded_at = row[8], row[11], row[12]
    if recorded_at is None or (slot is None and row[14]):
        occurred_at = None  # as if it could not be read at all, which is found
    return (
        *row[:6], bytes.fromhex(row[6]) if row[6] else None, row[7], _instant(slot),
        *row[9:11], _instant(occurred_at), _instant(recorded_at), row[13],
    )  # fmt: skip


def _stored_as_text(row: tuple[Any, ...]) -> Row:
    try:
        times = [datetime.fromisoformat(row[at]) if row[at] else None for at in (8, 11, 12)]
        run = bytes.fromhex(row[6]) if row[6] else None
    except (ValueError, TypeError):
        times, run = [None, None, None], None
    return (
        *row[:6], run, row[7], _instant(times[0]), *row[9:11], _instant(times[1]),
        _instant(times[2]), row[13],
    )  # fmt: skip


def _instant(value: datetime | None) -> datetime | None:
    """Django's connection reads a stored time as UTC without saying so."""
    return value.replace(tzinfo=UTC) if value else None


# A sum of text has no declared type: Django's connection would parse the times in Python.
_READ_CRON = """
    SELECT version, type, schema_version, scheduled_for || '+00:00',
        CASE WHEN json_valid(data) THEN json_extract(data, '$.definition_version') END,
        CASE WHEN type IN ('slot_skipped', 'slot_missed')
            OR NOT json_valid(data) OR json_type(data) <> 'object' OR type = 'slot_fired' AND schema_version <> %s THEN data END
    FROM rqcron_event WHERE stream = %s AND version > %s AND version <= %s
    ORDER BY version LIMIT %s
"""


def read_cron(
    db: BaseDatabaseWrapper, stream: str, after: int, until: int, limit: int
) -> list[CronRow]:
    """A part of a cron's own stream, as little of it as an audit needs."""
    with db.cursor() as cursor:
        cursor.execute(
            _READ_CRON, [schema_version(EventType.SLOT_FIRED), stream, after, until, limit]
        )
        return [
            (*row[:3], _time_or_none(row[3]) if row[3] else None, *row[4:])
            for row in cursor.fetchall()
        ]


def _time_or_none(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


GROUP_BY_RUN = "+run_id"
"""Without the plus, rows would come in the order of the index of runs, each from another page."""

# Numbers are read in Python: SQLite's own reading of decimals may differ in the last bit.
_CLEAN_RUNS = clean_runs_statement(
    run_id="run_id",
    group=GROUP_BY_RUN,
    time="{} || '+00:00'".format,
    lateness="data",
    queue="data",
    duration="data",
    exact="COLLATE BINARY",
    has_slot=("(json_type(data, '$.trigger') IS NULL OR json_extract(data, '$.trigger') = 'slot')"),
    has_no_error="json_type(data, '$.error') IS NULL",
)


def clock_seconds(db: BaseDatabaseWrapper) -> float:
    with db.cursor() as cursor:
        cursor.execute("SELECT (julianday('now') - 2440587.5) * 86400.0")
        return float(cursor.fetchone()[0])


def safe_position(db: BaseDatabaseWrapper, wait_seconds: float) -> int | None:
    """The last id: on SQLite ids become visible in their order."""
    with db.cursor() as cursor:
        cursor.execute("SELECT COALESCE(MAX(id), 0) FROM rqcron_event")
        return int(cursor.fetchone()[0])


def install_triggers(db: BaseDatabaseWrapper) -> None:
    with db.cursor() as cursor:
        for trigger, statement in trigger_statements(has_segments(db)).items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            cursor.execute(statement)


def remove_triggers(db: BaseDatabaseWrapper) -> None:
    with db.cursor() as cursor:
        for trigger in (*TRIGGERS, *SEGMENT_TRIGGERS):
            cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}")


def lift_for_migrations(db: BaseDatabaseWrapper) -> None:
    """Django alters a table by renaming another to its name; SQLite does not while a trigger elsewhere
    names the one that is gone. ``install_triggers`` puts it back."""
    with db.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER IF EXISTS {SEGMENT_TRIGGERS[-1]}")


def set_append_only(db: BaseDatabaseWrapper, enabled: bool) -> None:
    """Only for tests: let Django's flush through, or stop it again."""
    if enabled:
        install_triggers(db)
    else:
        remove_triggers(db)


def missing_triggers(db: BaseDatabaseWrapper) -> list[str]:
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'rqcron_event'"
        )
        present = {row[0] for row in cursor.fetchall()}
    return [trigger for trigger in TRIGGERS if trigger not in present]


def install_checks(db: BaseDatabaseWrapper) -> None:
    """They are triggers here: adding a CHECK would remake the table, and fail on one old row."""
    if missing_triggers(db):
        install_triggers(db)


def remove_checks(db: BaseDatabaseWrapper) -> None:
    with db.cursor() as cursor:
        for trigger in TRIGGERS[3:]:
            cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}")


def problems(db: BaseDatabaseWrapper) -> list[Problem]:
    return inspection.problems(db, trigger_statements(has_segments(db)))
