"""What a work-horse asks of the writer, and what it is answered: a line each."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from ...core.codec import encode_data, event_type
from ...core.events import Event, run_stream

__all__ = ["ANSWER_BYTES_MAX", "ASK_BYTES_MAX", "NOT_WRITTEN", "decode", "encode", "version_in"]

ASK_BYTES_MAX = 256 << 10
"""An event with larger texts than settings have by default is written by the work-horse itself."""
ANSWER_BYTES_MAX = 400
NOT_WRITTEN = b"not written: "


def encode(event: Event) -> bytes:
    """An event of a run, to be written. Raises ValueError when it is too large, or no JSON."""
    assert event.run_id is not None
    slot = event.scheduled_for
    told = {
        "type": event.type.value,
        "version": event.version,
        "cron": event.cron,
        "run_id": str(event.run_id),
        "attempt": event.attempt,
        "scheduled_for": slot.isoformat() if slot else None,
        "reason": event.reason,
        "actor": event.actor,
        "occurred_at": event.occurred_at.isoformat(),
        "data": dict(event.data),
    }
    line = encode_data(told).encode() + b"\n"  # JSON has no line breaks in it
    if len(line) > ASK_BYTES_MAX:
        raise ValueError(f"the event has {len(line):,} bytes, more than {ASK_BYTES_MAX:,}")
    return line


def decode(line: bytes) -> Event:
    """The event that ``encode`` was given. Raises ValueError, KeyError or TypeError for another line."""
    told = json.loads(line)
    run_id = UUID(told["run_id"])
    slot = told["scheduled_for"]
    return Event(
        stream=run_stream(run_id),
        version=told["version"],
        type=event_type(told["type"]),
        cron=told["cron"],
        run_id=run_id,
        attempt=told["attempt"],
        scheduled_for=datetime.fromisoformat(slot) if slot else None,
        reason=told["reason"],
        actor=told["actor"],
        occurred_at=datetime.fromisoformat(told["occurred_at"]),
        data=told["data"],
    )


def version_in(answer: bytes) -> int | None:
    """The version as which an event was committed; 0 when it had nothing to say any more, because
    another writer had the last word; None when it was not written."""
    if answer.startswith(NOT_WRITTEN):
        return None
    return int(answer)
