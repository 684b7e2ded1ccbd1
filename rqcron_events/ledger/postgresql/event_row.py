"""An event as a row of the table."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from ...core.codec import encode_data, schema_version
from ...core.events import Event

__all__ = ["COLUMNS", "TYPES", "event_row", "time_text"]

COLUMNS = (
    "stream, version, type, schema_version, cron, run_id, attempt, scheduled_for, reason, actor, "
    "occurred_at, data"
)
TYPES = "text, int, text, smallint, text, uuid, int, timestamptz, text, text, timestamptz, jsonb"


def event_row(event: Event) -> tuple[Any, ...]:
    return (
        event.stream,
        event.version,
        event.type.value,
        schema_version(event.type),
        event.cron,
        str(event.run_id) if event.run_id else None,
        event.attempt,
        time_text(event.scheduled_for),
        event.reason,
        event.actor,
        time_text(event.occurred_at),
        encode_data(event.data),
    )


@lru_cache(maxsize=1_000)  # many events have the same slot, or are decided at one instant
def time_text(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
