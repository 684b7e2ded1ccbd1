"""A run's first start, in one statement."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.codec import schema_version
from ...core.events import Event, EventType
from ..doors.home import note
from .event_row import COLUMNS, TYPES, event_row, time_text

__all__ = ["insert_first_start"]

_VALUES = [f"%s::{name.strip()}" for name in TYPES.split(",")]
_VALUES[COLUMNS.split(", ").index("version")] = "(count(*) + 1)::int"
# HAVING without GROUP BY: one row, or none.
_FIRST_START = f"""
    INSERT INTO rqcron_event ({COLUMNS})
    SELECT {", ".join(_VALUES)}
    FROM rqcron_event AS there WHERE there.stream = %s
    HAVING count(*) = 0 AND NOT EXISTS (SELECT FROM rqcron_segment) OR count(*) = 1 AND bool_and(
        there.version = 1 AND there.type = %s AND there.schema_version = %s
        AND there.cron = %s AND there.scheduled_for IS NOT DISTINCT FROM %s::timestamptz
        AND jsonb_typeof(there.data) = 'object' AND there.data->'retries_left' IS NULL
        AND there.data->'spooled' IS NULL
    )
    ON CONFLICT (stream, version) DO NOTHING RETURNING version, tableoid
"""  # noqa: S608


def insert_first_start(db: BaseDatabaseWrapper, event: Event) -> int | None:
    """Write a run's start, if its stream holds ``run_enqueued`` at most; return its version."""
    stream, _, *values = event_row(event)
    enqueued = EventType.RUN_ENQUEUED
    there = [
        stream,
        enqueued.value,
        schema_version(enqueued),
        event.cron,
        time_text(event.scheduled_for),
    ]
    with db.cursor() as cursor:
        cursor.execute(_FIRST_START, [stream, *values, *there])
        found = cursor.fetchone()
    if found is None:
        return None
    version, table = found
    note(table)
    return int(version)
