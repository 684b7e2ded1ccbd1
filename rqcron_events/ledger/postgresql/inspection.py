"""What ``manage.py check --database`` compares on PostgreSQL: catalogs with what they must hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..doors.problem import Problem
from .checks import CHECKS
from .sessions import is_pooled

__all__ = ["disk_free_bytes", "event_bytes", "log_bytes", "problems"]

SAMPLE_EVENTS = 1_000
"""The newest ones. The size of a table from which events were archived says nothing about each: its room
is used again."""

# Bandit takes these for injections: what goes into a statement is the name of the table.
# ruff: noqa: S608

MIGRATE = "Run: manage.py migrate"
_TABLE = "'rqcron_event'::regclass"
_SIZE = f"pg_total_relation_size({_TABLE}) + pg_total_relation_size('rqcron_text'::regclass)"


def problems(
    db: BaseDatabaseWrapper,
    triggers: Mapping[str, str],
    bodies: Mapping[str, str],
    version_constraint: str,
    ids_behind: str,
) -> list[Problem]:
    """What is not as the migrations made it. ``triggers`` are their definitions, as PostgreSQL
    words them, and ``bodies`` those of their functions."""
    return [
        *_triggers(db, triggers, bodies),
        *_takes_rows_away(db),
        *_ids(db, ids_behind),
        *_constraints(db, version_constraint),
        *_table(db),
        *_schemas(db),
        *_session(db),
    ]


def log_bytes(db: BaseDatabaseWrapper) -> int:
    return int(_rows(db, f"SELECT {_SIZE}")[0][0])


def event_bytes(db: BaseDatabaseWrapper) -> float | None:
    newest = f"SELECT * FROM rqcron_event ORDER BY id DESC LIMIT {SAMPLE_EVENTS}"
    found = _rows(
        db,
        f"SELECT avg(pg_column_size(newest.*)) * ({_SIZE}) / "
        f"nullif(pg_relation_size({_TABLE}), 0) FROM ({newest}) AS newest",
    )
    return None if found[0][0] is None else float(found[0][0])


def disk_free_bytes(db: BaseDatabaseWrapper) -> int | None:
    """PostgreSQL does not tell."""
    return None


def _triggers(
    db: BaseDatabaseWrapper, triggers: Mapping[str, str], bodies: Mapping[str, str]
) -> Iterator[Problem]:
    found = {
        row[0]: row[1:]
        for row in _rows(
            db,
            "SELECT tgname, tgenabled, pg_get_triggerdef(pg_trigger.oid, true), proname, prosrc, "
            "lanname FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
            "JOIN pg_language ON pg_language.oid = prolang "
            f"WHERE tgrelid IN ({_TABLE}, to_regclass('rqcron_segment'))",
        )
    }
    missing = [name for name in triggers if name not in found or found[name][0] != "A"]
    if missing:
        yield Problem(
            "E005",
            f"Triggers {', '.join(missing)} are missing on rqcron_event or rqcron_segment, or do not "
            "always fire: events could be changed, go without being archived, or be missed by readers.",
            MIGRATE,
        )
    for name in triggers.keys() - set(missing):
        _, definition, function, body, language = found[name]
        if definition != triggers[name]:
            yield Problem("E005", f"Trigger {name} is not ours: {definition}.", MIGRATE)
        elif language != "plpgsql" or _words(body) != _words(bodies.get(function, "")):
            yield Problem(
                "E005",
                f"Function {function}() of trigger {name} is not ours: {_words(body):.200}.",
                MIGRATE,
            )


def _takes_rows_away(db: BaseDatabaseWrapper) -> Iterator[Problem]:
    # tgtype: 1 is FOR EACH ROW, 2 BEFORE, 4 INSERT.
    for name, before, function in _rows(
        db,
        "SELECT tgname, tgtype & 7 = 7, tgfoid::regproc::text FROM pg_trigger "
        f"WHERE tgrelid = {_TABLE} AND NOT tgisinternal AND tgenabled <> 'D' "
        "AND tgname NOT LIKE 'rqcron%%' ORDER BY tgname",
    ):
        what = "can change events or take them away" if before else "can refuse events"
        yield Problem(
            "E006" if before else "W002",
            f"Trigger {name} on rqcron_event calls {function}(), which {what}.",
            f"If it is not meant: DROP TRIGGER {name} ON rqcron_event",
        )
    for name, action in _rows(
        db,
        "SELECT rulename, CASE ev_type WHEN '1' THEN 'SELECT' WHEN '2' THEN 'UPDATE' "
        f"WHEN '3' THEN 'INSERT' ELSE 'DELETE' END FROM pg_rewrite WHERE ev_class = {_TABLE}",
    ):
        yield Problem(
            "E006",
            f"Rule {name} on rqcron_event rewrites each {action}: events may go elsewhere.",
            f"Run: DROP RULE {name} ON rqcron_event",
        )


def _ids(db: BaseDatabaseWrapper, ids_behind: str) -> Iterator[Problem]:
    found = _rows(
        db,
        "SELECT seqrelid::regclass::text, seqcache, seqincrement, seqcycle, seqmax, "
        "pg_is_in_recovery(), has_sequence_privilege(seqrelid, 'USAGE, SELECT'), "
        "CASE WHEN NOT pg_is_in_recovery() AND has_sequence_privilege(seqrelid, 'USAGE, SELECT') "
        "THEN pg_sequence_last_value(seqrelid) END, (SELECT max(id) FROM rqcron_event), "
        "(SELECT min(id) FROM rqcron_event) "
        "FROM pg_sequence WHERE seqrelid = "
        "pg_get_serial_sequence('rqcron_event', 'id')::regclass",
    )
    if not found:
        yield Problem(
            "E007",
            "Column id of rqcron_event has no sequence of its own.",
            "Run: ALTER TABLE rqcron_event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
        )
        return
    name, cache, increment, cycle, highest, standby, may_read, last, newest, oldest = found[0]
    if standby:
        yield Problem(
            "E007",
            "The database is a hot standby: its sequence runs ahead of its rows, so readers would "
            "miss events.",
            "Point RQCRON_DATABASE to the primary.",
        )
    elif not may_read:
        yield Problem(
            "E007",
            f"This role may not use sequence {name}.",
            f"Run as its owner: GRANT USAGE, SELECT ON SEQUENCE {name} TO the role",
        )
    elif (newest or 0) > (last or 0):
        yield Problem(
            "E007",
            f"Sequence {name} stands at {last or 0}, but rqcron_event has id {newest}.",
            ids_behind,
        )
    if (cache, increment, cycle) != (1, 1, False):
        yield Problem(
            "E007",
            f"Sequence {name} has CACHE {cache}, INCREMENT {increment}, "
            f"{'CYCLE' if cycle else 'NO CYCLE'}: readers rest on ids that are handed out in order.",
            f"Run: ALTER SEQUENCE {name} CACHE 1 INCREMENT 1 NO CYCLE",
        )
    if highest < 2**63 - 1:
        yield Problem(
            "W003",
            f"Sequence {name} ends at {highest}, and stands at {last or 0}: then no event can be "
            "appended.",
            f"Run: ALTER SEQUENCE {name} NO MAXVALUE",
        )
    if oldest is not None and oldest < 1:
        yield Problem(
            "E007",
            f"rqcron_event has id {oldest}: readers begin at 1, so they never see it.",
            "Append an event that says what this one does.",
        )


def _constraints(db: BaseDatabaseWrapper, version_constraint: str) -> Iterator[Problem]:
    found = dict(
        _rows(
            db,
            "SELECT conname, convalidated FROM pg_constraint "
            f"WHERE conrelid = {_TABLE} AND contype IN ('c', 'p', 'u')",
        )
    )
    # Without it two writers could append the same version: an index of any name will do.
    for columns, what in (
        (["id"], "PRIMARY KEY (id)"),
        (["stream", "version"], f"CONSTRAINT {version_constraint} UNIQUE (stream, version)"),
    ):
        names = _rows(
            db,
            "SELECT indexrelid::regclass::text FROM pg_index "
            f"WHERE indrelid = {_TABLE} AND indisunique AND indisvalid AND indpred IS NULL "
            "AND indimmediate AND (SELECT array_agg(attname::text ORDER BY place) "
            "FROM unnest(indkey) WITH ORDINALITY AS of(number, place) JOIN pg_attribute "
            "ON attrelid = indrelid AND attnum = number) = %s",
            [columns],
        )
        named = version_constraint in found if len(columns) == 2 else True
        if not names or not named:
            yield Problem(
                "E008",
                f"rqcron_event has no {what}: two writers could both append there.",
                f"Run: ALTER TABLE rqcron_event ADD {what}",
            )
    missing = [name for name in CHECKS if name not in found]
    if missing:
        yield Problem(
            "E008",
            f"CHECKs {', '.join(missing)} are missing on rqcron_event: it takes what no reader "
            "can read.",
            MIGRATE,
        )
    yield from _bodies(db, [name for name in CHECKS if name in found])
    for name, validated in found.items():
        if not validated:
            yield Problem(
                "W001",
                f"Events that are in the log do not pass {name}, which holds for new ones only.",
                f"See them: ALTER TABLE rqcron_event VALIDATE CONSTRAINT {name}",
            )


def _bodies(db: BaseDatabaseWrapper, present: Sequence[str]) -> Iterator[Problem]:
    """CHECKs in PostgreSQL's words, which depend on its release: so it words ours as well."""
    definitions = (
        "SELECT conname, pg_get_constraintdef(oid, true) FROM pg_constraint "
        "WHERE conrelid = '{}'::regclass AND contype = 'c'"
    )
    ours = ", ".join(f"CONSTRAINT {name} CHECK ({check})" for name, check in CHECKS.items())
    try:
        with transaction.atomic(using=db.alias):
            with db.cursor() as cursor:
                cursor.execute(
                    f"CREATE TEMPORARY TABLE rqcron_checks (LIKE rqcron_event, {ours})".replace(
                        "%", "%%"
                    ),
                    [],
                )
            wanted = dict(_rows(db, definitions.format("pg_temp.rqcron_checks")))
            transaction.set_rollback(True, using=db.alias)
    except DatabaseError as error:
        if not _rows(db, "SELECT pg_is_in_recovery()")[0][0]:
            yield Problem(
                "W008",
                f"The CHECKs of rqcron_event cannot be compared: {_words(str(error)):.200}.",
                "Run this check as a role that may create temporary tables, such as the owner.",
            )
        return
    found = dict(_rows(db, definitions.format("rqcron_event")))
    for name in present:
        is_there = found[name].removesuffix(" NOT VALID")
        if is_there != wanted[name]:
            yield Problem(
                "E008",
                f"CHECK {name} on rqcron_event is not ours: {_words(is_there):.200}.",
                f"Run: ALTER TABLE rqcron_event DROP CONSTRAINT {name}; then: manage.py migrate",
            )


def _table(db: BaseDatabaseWrapper) -> Iterator[Problem]:
    kind, persistence, secured, identity = _rows(
        db,
        "SELECT relkind, relpersistence, relrowsecurity, attidentity FROM pg_class "
        "JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'id' "
        f"WHERE pg_class.oid = {_TABLE}",
    )[0]
    if kind != "r":
        what = {"p": "partitioned", "v": "a view", "f": "a foreign table"}.get(kind, kind)
        yield Problem(
            "E009",
            f"rqcron_event is {what}: versions are unique, and ids in order, in a plain table only.",
            "Put its rows into a table that manage.py migrate made.",
        )
    if persistence != "p":
        yield Problem(
            "E009",
            "rqcron_event is UNLOGGED or temporary: a crash of the server empties it.",
            "Run: ALTER TABLE rqcron_event SET LOGGED",
        )
    if secured:
        yield Problem(
            "E009",
            "Row security is on for rqcron_event: readers may not see every event.",
            "Run: ALTER TABLE rqcron_event DISABLE ROW LEVEL SECURITY",
        )
    for child, parent in _rows(
        db,
        "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits "
        f"WHERE {_TABLE} IN (inhrelid, inhparent) ORDER BY 1",
    ):
        yield Problem(
            "E009",
            f"Table {child} inherits from {parent}: rows in a child escape the triggers and the "
            "unique versions.",
            f"Run: ALTER TABLE {child} NO INHERIT {parent}",
        )
    if identity != "a" and kind == "r":
        yield Problem(
            "W003",
            "Column id of rqcron_event takes ids that a statement brings: a reader that is past one "
            "never sees that event.",
            "Run: ALTER TABLE rqcron_event ALTER COLUMN id SET GENERATED ALWAYS",
        )


def _schemas(db: BaseDatabaseWrapper) -> Iterator[Problem]:
    schemas = _rows(
        db,
        f"SELECT nspname, pg_class.oid = {_TABLE} FROM pg_class "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE relname = 'rqcron_event' AND relkind IN ('r', 'p', 'v', 'f') ORDER BY nspname",
    )
    if len(schemas) > 1:
        mine = next(name for name, ours in schemas if ours)
        others = [name for name, ours in schemas if not ours]
        yield Problem(
            "W004",
            f"rqcron_event exists in {len(schemas)} schemas; this connection uses {mine!r}, and "
            f"whoever changes search_path writes to another: {_few(others)}.",
            "Keep rqcron_events out of TENANT_APPS, and drop the tables that nobody needs.",
        )


ENOUGH_MS = {
    "statement_timeout": 60_000,
    "transaction_timeout": 600_000,
    "idle_in_transaction_session_timeout": 10_000,
    "lock_timeout": 1_000,
}
"""What the longest statement or transaction of a command may need with a large log."""


def _session(db: BaseDatabaseWrapper) -> Iterator[Problem]:
    for name, value in _rows(
        db,
        "SELECT name, setting::bigint FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
        [list(ENOUGH_MS)],
    ):
        if 0 < value < ENOUGH_MS[name]:
            yield Problem(
                "W005",
                f"{name} is {value} ms: with a large log cron_replay, cron_audit and migrate need "
                "more, and end with an error of the database.",
                f"For these, set OPTIONS to {{'options': '-c {name}=0'}} in DATABASES, or ALTER "
                f"ROLE ... SET {name} to at least {ENOUGH_MS[name]}.",
            )
    if is_pooled(db) and not db.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        yield Problem(
            "W006",
            "The connection goes through a pooler such as PgBouncer: when it pools transactions, "
            "server-side cursors break, such as those of QuerySet.iterator() in other code.",
            f"Set 'DISABLE_SERVER_SIDE_CURSORS': True in DATABASES[{db.alias!r}].",
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _words(text: str) -> str:
    return " ".join(text.split())


def _rows(
    db: BaseDatabaseWrapper, statement: str, values: Sequence[Any] | None = None
) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute(statement, values or [])
        rows: list[Any] = cursor.fetchall()
        return rows
