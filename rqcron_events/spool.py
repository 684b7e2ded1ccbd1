"""Events that a worker could not write, kept in Redis until the leader can.

A list per Redis, oldest first. Each entry has an id of its own, which goes into the event's data
(``spooled``), so that an entry that is drained twice is written once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from redis import Redis

from .core.events import OUTCOMES, Event, EventType
from .core.run import RunState
from .failpoints import reach
from .runs import append_to_run, read_run

__all__ = ["SPOOL_KEY", "drain", "push", "spool_length"]

log = logging.getLogger(__name__)

SPOOL_KEY = "rqcron:spool"
ENTRIES_MAX = 1_000_000
"""About 1 GB of tracebacks at worst; beyond it the reconciler has to find the outcomes in RQ."""
ENTRIES_PER_DRAIN = 200


def push(connection: Redis, event: Event) -> None:
    """Keep an event of a run. Raises redis-py's errors."""
    entry = {
        "id": uuid4().hex,
        "run_id": str(event.run_id),
        "type": event.type.value,
        "cron": event.cron,
        "attempt": event.attempt,
        "scheduled_for": event.scheduled_for.isoformat() if event.scheduled_for else None,
        "reason": event.reason,
        "actor": event.actor,
        "occurred_at": event.occurred_at.isoformat(),
        "data": dict(event.data),
    }
    pipeline = connection.pipeline()
    pipeline.rpush(SPOOL_KEY, json.dumps(entry))
    pipeline.ltrim(SPOOL_KEY, -ENTRIES_MAX, -1)
    pipeline.execute()


def spool_length(connections: Iterable[Redis]) -> int:
    """Entries that wait, on all Redis servers. Raises redis-py's errors."""
    return sum(int(connection.llen(SPOOL_KEY)) for connection in connections)


def drain(connection: Redis) -> list[Event]:
    """Write the oldest entries to the ledger, then remove them; returns what was written.

    Removed only after the commit: a leader that dies in between leaves entries whose ids the next
    one finds in the log. Raises redis-py's and Django's database errors.
    """
    written: list[Event] = []
    entries: list[Any] = connection.lrange(SPOOL_KEY, 0, ENTRIES_PER_DRAIN - 1)
    for raw in entries:
        try:
            entry = json.loads(raw)
            run_id = UUID(entry["run_id"])
            EventType(entry["type"])
        except (ValueError, KeyError, TypeError):
            log.error(
                "An entry of the spool cannot be read and is dropped: %.200r",
                raw,
                extra={"action": "spool_entry_dropped"},
            )
        else:
            written += _write(run_id, entry)
            reach("drain_written")
        connection.lrem(SPOOL_KEY, 1, raw)
    return written


def _write(run_id: UUID, entry: dict[str, Any]) -> list[Event]:
    appended: list[Event] = []

    def build(state: RunState) -> list[Event] | None:
        appended.clear()
        event_type = EventType(entry["type"])
        if entry["id"] in state.spooled or (event_type in OUTCOMES and state.outcome is not None):
            return None
        slot = entry["scheduled_for"]
        appended.append(
            Event(
                stream=state.stream,
                version=state.version + 1,
                type=event_type,
                cron=entry["cron"],
                run_id=run_id,
                attempt=entry["attempt"],
                scheduled_for=datetime.fromisoformat(slot) if slot else None,
                reason=entry["reason"],
                actor=entry["actor"],
                occurred_at=datetime.fromisoformat(entry["occurred_at"]),
                data={**entry["data"], "spooled": entry["id"]},
            )
        )
        return appended

    append_to_run(read_run(run_id), build)
    return appended
