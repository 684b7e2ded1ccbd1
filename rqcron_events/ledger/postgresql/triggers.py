"""The triggers that keep the log append-only and let readers wait for writers, with their functions."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["DEFINITIONS", "FENCE_CLASS", "FUNCTIONS", "TRIGGERS", "install_statements"]

FENCE_CLASS = 0x72716372
"""First half of the advisory lock's key ("rqcr"); the table's oid is the second half."""

# Triggers as PostgreSQL words them, because the check compares. A statement-level BEFORE trigger
# runs before the first nextval(), with COPY too.
DEFINITIONS = {
    "rqcron_event_fence": "BEFORE INSERT ON rqcron_event "
    "FOR EACH STATEMENT EXECUTE FUNCTION rqcron_event_fence()",
    "rqcron_event_no_change": "BEFORE DELETE OR UPDATE ON rqcron_event "
    "FOR EACH ROW EXECUTE FUNCTION rqcron_event_refuse()",
    "rqcron_event_no_truncate": "BEFORE TRUNCATE ON rqcron_event "
    "FOR EACH STATEMENT EXECUTE FUNCTION rqcron_event_refuse()",
}
TRIGGERS = tuple(DEFINITIONS)

FUNCTIONS = {
    "rqcron_event_fence": f"""
        BEGIN
            PERFORM pg_advisory_xact_lock_shared({FENCE_CLASS}, TG_RELID::int);
            RETURN NULL;
        END
    """,
    "rqcron_event_refuse": """
        BEGIN
            RAISE EXCEPTION 'rqcron_event is append-only: % refused', TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Append an event that corrects it instead. Where tests empty the '
                          'tables: rqcron_events.testing.allow_flush().';
        END
    """,
}


def install_statements() -> Iterator[str]:
    for function, body in FUNCTIONS.items():
        yield (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$${body}$$"
        )
    for trigger, what in DEFINITIONS.items():
        yield f"DROP TRIGGER IF EXISTS {trigger} ON rqcron_event"
        yield f"CREATE TRIGGER {trigger} {what}"
        yield f"ALTER TABLE rqcron_event ENABLE ALWAYS TRIGGER {trigger}"
