"""The triggers that keep the log append-only and let readers wait for writers, with their functions.

Rows go from the log only up to where segments of it are archived, and a segment is taken only if it is the
next one, ends with a seal that is not the newest, and no run that begins in it is open.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ..doors.rules import OUTCOMES_LIST, REQUESTS_LIST

__all__ = [
    "FENCE_CLASS",
    "FUNCTIONS",
    "TRIGGERS",
    "definitions",
    "install_triggers",
    "lift_for_migrations",
    "missing_triggers",
    "remove_triggers",
    "set_append_only",
]

# Bandit takes these for injections: what goes into a statement are names of ours.
# ruff: noqa: S608

FENCE_CLASS = 0x72716372
"""First half of the advisory lock's key ("rqcr"); the table's oid is the second half."""

# Triggers as PostgreSQL words them, because the check compares. A statement-level BEFORE trigger
# runs before the first nextval(), with COPY too.
FENCE = "rqcron_event_fence"
DEFINITIONS = {
    FENCE: "BEFORE INSERT ON rqcron_event FOR EACH STATEMENT EXECUTE FUNCTION rqcron_event_fence()",
    "rqcron_event_no_change": "BEFORE DELETE OR UPDATE ON rqcron_event "
    "FOR EACH ROW EXECUTE FUNCTION rqcron_event_refuse()",
    "rqcron_event_no_truncate": "BEFORE TRUNCATE ON rqcron_event "
    "FOR EACH STATEMENT EXECUTE FUNCTION rqcron_event_refuse()",
}
TRIGGERS = tuple(DEFINITIONS)

SEGMENT_DEFINITIONS = {
    "rqcron_segment_no_truncate": "BEFORE TRUNCATE ON rqcron_segment "
    "FOR EACH STATEMENT EXECUTE FUNCTION rqcron_segment_guard()",
    "rqcron_segment_valid": "BEFORE INSERT OR DELETE OR UPDATE ON rqcron_segment "
    "FOR EACH ROW EXECUTE FUNCTION rqcron_segment_guard()",
}

FUNCTIONS = {
    FENCE: f"""
        BEGIN
            PERFORM pg_advisory_xact_lock_shared({FENCE_CLASS}, TG_RELID::int);
            RETURN NULL;
        END
    """,
    "rqcron_event_refuse": """
        BEGIN
            -- In this schema: a table of that name in pg_temp would be found first.
            IF TG_OP = 'DELETE' THEN
                IF (SELECT relnamespace FROM pg_catalog.pg_class
                        WHERE oid = 'rqcron_segment'::pg_catalog.regclass)
                    = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = TG_RELID)
                    AND OLD.id <= (SELECT max(last_id) FROM rqcron_segment)
                THEN
                    RETURN OLD;
                END IF;
            END IF;
            RAISE EXCEPTION 'rqcron_event is append-only: % refused', TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Append an event that corrects it instead. Where tests empty the '
                          'tables: rqcron_events.testing.allow_flush().';
        END
    """,
    "rqcron_segment_guard": f"""
        DECLARE
            size_before bigint;
            id_before bigint;
            why text;
        BEGIN
            IF TG_OP <> 'INSERT' THEN
                RAISE EXCEPTION 'rqcron_segment is append-only: % refused', TG_OP
                    USING ERRCODE = 'restrict_violation';
            END IF;
            SELECT COALESCE(max(size), 0), COALESCE(max(last_id), 0) INTO size_before, id_before
                FROM rqcron_segment;
            IF NEW.first <> size_before OR NEW.size <= NEW.first THEN
                why := 'it does not go on from event number ' || size_before;
            ELSIF NOT EXISTS (
                SELECT FROM rqcron_seal WHERE size = NEW.size AND last_id = NEW.last_id
            ) THEN
                why := 'no seal is of its size and last event';
            ELSIF NOT EXISTS (SELECT FROM rqcron_seal WHERE size > NEW.size) THEN
                why := 'the newest seal has to stay in the log';
            ELSIF (
                SELECT count(*) <> NEW.size - NEW.first OR min(id) IS DISTINCT FROM NEW.first_id
                FROM rqcron_event WHERE id > id_before AND id <= NEW.last_id
            ) THEN
                why := 'the log does not have these events';
            ELSIF EXISTS (
                SELECT FROM rqcron_event AS asked
                WHERE id > id_before AND id <= NEW.last_id AND type IN {REQUESTS_LIST}
                AND run_id IS NOT NULL AND NOT EXISTS (
                    SELECT FROM rqcron_event AS ended
                    WHERE ended.run_id = asked.run_id AND ended.type IN {OUTCOMES_LIST}
                )
            ) THEN
                why := 'a run in it is open';
            ELSE
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'rqcron_segment refuses %: %', NEW.path, why
                USING ERRCODE = 'restrict_violation';
        END
    """,
}


def definitions(db: BaseDatabaseWrapper) -> dict[str, dict[str, str]]:
    """By table, which triggers there must be. Segments have theirs from their migration on."""
    with db.cursor() as cursor:
        cursor.execute("SELECT to_regclass('rqcron_segment') IS NOT NULL")
        has_segments = cursor.fetchone()[0]
    found = {"rqcron_event": DEFINITIONS}
    return found | {"rqcron_segment": SEGMENT_DEFINITIONS} if has_segments else found


def install_triggers(db: BaseDatabaseWrapper) -> None:
    found = definitions(db)
    with db.cursor() as cursor:
        for function, body in FUNCTIONS.items():
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$${body}$$"
            )
        for table, by_name in found.items():
            for trigger, what in by_name.items():
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {table}")
                cursor.execute(f"CREATE TRIGGER {trigger} {what}")
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def remove_triggers(db: BaseDatabaseWrapper) -> None:
    found = definitions(db)
    with db.cursor() as cursor:
        for table, by_name in found.items():
            for trigger in by_name:
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {table}")
        for function in FUNCTIONS:
            cursor.execute(f"DROP FUNCTION IF EXISTS {function}()")


def lift_for_migrations(_: BaseDatabaseWrapper) -> None:
    """Nothing: a table is altered with its triggers."""


def set_append_only(db: BaseDatabaseWrapper, enabled: bool) -> None:
    """Only for tests: let Django's flush through, or stop it again."""
    found, how = definitions(db), "ENABLE ALWAYS" if enabled else "DISABLE"
    with db.cursor() as cursor:
        for table, by_name in found.items():
            for trigger in by_name:
                if trigger != FENCE:
                    cursor.execute(f"ALTER TABLE {table} {how} TRIGGER {trigger}")


def missing_triggers(db: BaseDatabaseWrapper) -> list[str]:
    """Triggers that are absent or do not fire always."""
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'rqcron_event'::regclass "
            "AND tgenabled = 'A'"
        )
        present = {row[0] for row in cursor.fetchall()}
    return [trigger for trigger in TRIGGERS if trigger not in present]
