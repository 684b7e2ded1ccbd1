"""The triggers that keep the log append-only, its ids growing, and what no release writes out; and those that
keep the segments, up to which rows of the log may go, true to it."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ..doors.rules import OUTCOMES_LIST, REQUESTS_LIST
from .checks import CHECKS

__all__ = [
    "SEGMENT_TRIGGERS",
    "THIS_ID",
    "THIS_VERSION",
    "TRIGGERS",
    "has_segments",
    "trigger_statements",
]

# Bandit takes these for injections: what goes into a statement are names and texts of ours.
# ruff: noqa: S608

TRIGGERS = (
    "rqcron_event_no_update",
    "rqcron_event_no_delete",
    "rqcron_event_no_replace",
    "rqcron_event_valid",
    "rqcron_event_growing",
)
THIS_VERSION = "rqcron_event is append-only: this version exists"
THIS_ID = "rqcron_event is append-only: this id is at or below the newest"

DELETE_REFUSED = "DELETE refused. Where tests empty the tables: rqcron_events.testing.allow_flush()"
"""Django's flush is a DELETE here."""


SEGMENT_TRIGGERS = ("rqcron_segment_no_change", "rqcron_segment_no_delete", "rqcron_segment_valid")
_ARCHIVED_TO = "COALESCE((SELECT MAX(last_id) FROM rqcron_segment), 0)"
_SIZE_BEFORE = "COALESCE((SELECT MAX(size) FROM rqcron_segment), 0)"
_SEGMENT_RULES = {
    f"NEW.first = {_SIZE_BEFORE} AND NEW.size > NEW.first": "it does not go on from the last one",
    "EXISTS (SELECT 1 FROM rqcron_seal WHERE size = NEW.size AND last_id = NEW.last_id)": (
        "no seal is of its size and last event"
    ),
    "EXISTS (SELECT 1 FROM rqcron_seal WHERE size > NEW.size)": (
        "the newest seal has to stay in the log"
    ),
    "(SELECT COUNT(*) = NEW.size - NEW.first AND MIN(id) = NEW.first_id FROM rqcron_event "
    f"WHERE id > {_ARCHIVED_TO} AND id <= NEW.last_id)": "the log does not have these events",
    f"""NOT EXISTS (
        SELECT 1 FROM rqcron_event AS asked
        WHERE id > {_ARCHIVED_TO} AND id <= NEW.last_id AND type IN {REQUESTS_LIST}
        AND run_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM rqcron_event AS ended
            WHERE ended.run_id = asked.run_id AND ended.type IN {OUTCOMES_LIST}
        ))""": "a run in it is open",
}


def has_segments(db: BaseDatabaseWrapper) -> bool:
    """Not before their migration: until then no trigger may name the table, because SQLite renames no
    table where one names what is not there."""
    with db.cursor() as cursor:
        cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'rqcron_segment'")
        return cursor.fetchone() is not None


def trigger_statements(segments: bool) -> dict[str, str]:
    """Each trigger of ``TRIGGERS``, and of segments where there are any, and the statement that makes it."""
    no_update, no_delete, no_replace, valid, growing = TRIGGERS
    not_archived = f"WHEN OLD.id > {_ARCHIVED_TO}" if segments else ""
    changes = (_segment_statements() if segments else {}) | {
        trigger: f"""
            CREATE TRIGGER {trigger} BEFORE {operation} ON rqcron_event {where}
            BEGIN SELECT RAISE(ABORT, 'rqcron_event is append-only: {refused}'); END
        """
        for trigger, operation, where, refused in (
            (no_update, "UPDATE", "", "UPDATE refused"),
            (no_delete, "DELETE", not_archived, DELETE_REFUSED),
        )
    }
    return changes | {
        # INSERT OR REPLACE deletes without firing DELETE triggers (unless recursive_triggers is
        # on). An id that is not given is -1 here.
        no_replace: f"""
            CREATE TRIGGER {no_replace} BEFORE INSERT ON rqcron_event
            WHEN EXISTS (
                SELECT 1 FROM rqcron_event
                WHERE id = NEW.id OR (stream = NEW.stream AND version = NEW.version)
            )
            BEGIN SELECT CASE
                WHEN EXISTS (
                    SELECT 1 FROM rqcron_event
                    WHERE stream = NEW.stream AND version = NEW.version
                ) THEN RAISE(ABORT, '{THIS_VERSION}')
                WHEN NEW.id > 0 THEN RAISE(ABORT, '{THIS_ID}')
            END; END
        """,
        valid: f"""
            CREATE TRIGGER {valid} BEFORE INSERT ON rqcron_event
            WHEN NOT ({" AND ".join(CHECKS.values())})
            BEGIN SELECT CASE
                {" ".join(f"WHEN NOT {check} THEN RAISE(ABORT, '{name}')" for name, check in CHECKS.items())}
            END; END
        """,
        # A reader that is past an id never looks at it again.
        growing: f"""
            CREATE TRIGGER {growing} AFTER INSERT ON rqcron_event
            WHEN NEW.id < 1 OR NEW.id < (SELECT MAX(id) FROM rqcron_event)
            BEGIN SELECT RAISE(ABORT, '{THIS_ID}'); END
        """,
    }


def _segment_statements() -> dict[str, str]:
    no_change, no_delete, valid = SEGMENT_TRIGGERS
    refused = {
        trigger: f"""
            CREATE TRIGGER {trigger} BEFORE {operation} ON rqcron_segment
            BEGIN SELECT RAISE(ABORT, 'rqcron_segment is append-only: {operation} refused'); END
        """
        for trigger, operation in ((no_change, "UPDATE"), (no_delete, "DELETE"))
    }
    rules = " ".join(
        f"WHEN NOT ({rule}) THEN RAISE(ABORT, 'rqcron_segment refuses it: {why}')"
        for rule, why in _SEGMENT_RULES.items()
    )
    statement = f"""
        CREATE TRIGGER {valid} BEFORE INSERT ON rqcron_segment BEGIN SELECT CASE {rules} END; END
    """
    return refused | {valid: statement}
