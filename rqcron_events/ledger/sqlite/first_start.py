"""A run's first start, in one statement."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.codec import schema_version
from ...core.events import Event, EventType
from .event_row import COLUMNS, event_row, time_text

__all__ = ["insert_first_start"]

_FIRST_START = f"""
    INSERT INTO rqcron_event ({COLUMNS})
    SELECT %s, found + 1, {", ".join(["%s"] * 10)}
    FROM (
        SELECT count(*) AS found, count(*) FILTER (
            WHERE version = 1 AND type = %s AND schema_version = %s AND cron = %s
                AND scheduled_for IS %s
                AND json_type(data) = 'object' AND json_type(data, '$.retries_left') IS NULL
                AND json_type(data, '$.spooled') IS NULL
        ) AS enqueued
        FROM rqcron_event WHERE stream = %s
    ) WHERE (found = 0 AND NOT EXISTS (SELECT 1 FROM rqcron_segment)) OR (found = 1 AND enqueued = 1)
    RETURNING version
"""  # noqa: S608


def insert_first_start(db: BaseDatabaseWrapper, event: Event) -> int | None:
    """Write a run's start, if its stream holds ``run_enqueued`` at most; return its version."""
    stream, _, *values = event_row(event)
    enqueued = EventType.RUN_ENQUEUED
    there = [enqueued.value, schema_version(enqueued), event.cron, time_text(event.scheduled_for)]
    with db.cursor() as cursor:
        cursor.execute(_FIRST_START, [stream, *values, *there, stream])
        found = cursor.fetchone()
    return found[0] if found else None
