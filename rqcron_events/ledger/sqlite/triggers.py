"""The triggers that keep the log append-only, its ids growing, and what no release writes out."""

from __future__ import annotations

from .checks import CHECKS

__all__ = ["THIS_ID", "THIS_VERSION", "TRIGGERS", "trigger_statements"]

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


def trigger_statements() -> dict[str, str]:
    """Each trigger of ``TRIGGERS`` and the statement that makes it."""
    no_update, no_delete, no_replace, valid, growing = TRIGGERS
    changes = {
        trigger: f"""
            CREATE TRIGGER {trigger} BEFORE {operation} ON rqcron_event
            BEGIN SELECT RAISE(ABORT, 'rqcron_event is append-only: {refused}'); END
        """
        for trigger, operation, refused in (
            (no_update, "UPDATE", "UPDATE refused"),
            (no_delete, "DELETE", DELETE_REFUSED),
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
