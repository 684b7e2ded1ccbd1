"""An event as a row of the table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...core.codec import encode_data, schema_version
from ...core.events import Event

__all__ = ["COLUMNS", "event_row", "time_text"]

COLUMNS = (
    "stream, version, type, schema_version, cron, run_id, attempt, scheduled_for, reason, actor, "
    "occurred_at, data"
)


def event_row(event: Event) -> tuple[Any, ...]:
    return (
        event.stream,
        event.version,
        event.type.value,
        schema_version(event.type),
        event.cron,
        event.run_id.hex if event.run_id else None,
        event.attempt,
        time_text(event.scheduled_for),
        event.reason,
        event.actor,
        time_text(event.occurred_at),
        encode_data(event.data),
    )


def time_text(value: datetime | None) -> str | None:
    """As Django stores it, so that its comparisons hold: UTC without an offset."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ") if value else None
