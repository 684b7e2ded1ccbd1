"""Events that a worker could not write, kept in Redis until the database is back.

A list per run, oldest first, and an index of the runs by the time of their first event. The leader
drains them all; a worker drains a run's own before it starts the run again. Each entry has an id of
its own, which goes into the event's data (``spooled``), so that an entry that is drained twice, or
by two at once, is written once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import DataError
from redis import Redis
from redis.client import Pipeline

from .. import clock
from ..core.codec import NewerEvent
from ..core.events import OUTCOMES, Event, EventType, make
from ..core.run_state import RunState
from ..errors import SpoolFull, UnreadableEvent
from ..ledger.run_streams import append_to_run, read_run
from ..process.failpoints import reach

__all__ = ["INDEX_KEY", "drain", "drain_run", "push", "run_key", "spool_length", "spooled_types"]

log = logging.getLogger(__name__)

INDEX_KEY = "rqcron:spool"
RUNS_MAX = 200_000
"""About 1 GB of tracebacks at worst; beyond it the reconciler has to find the outcomes in RQ."""
RUNS_PER_DRAIN = 50
"""Some five milliseconds each; slots are decided in between."""


def run_key(run_id: UUID) -> str:
    return f"{INDEX_KEY}:{run_id}"


def push(connection: Redis, event: Event) -> None:
    """Keep an event of a run. Raises redis-py's errors, and SpoolFull."""
    assert event.run_id is not None
    entry = {
        "id": uuid4().hex,
        "type": event.type.value,
        "cron": event.cron,
        "attempt": event.attempt,
        "scheduled_for": event.scheduled_for.isoformat() if event.scheduled_for else None,
        "reason": event.reason,
        "actor": event.actor,
        "occurred_at": event.occurred_at.isoformat(),
        "data": dict(event.data),
    }
    if int(connection.zcard(INDEX_KEY)) >= RUNS_MAX:
        raise SpoolFull(
            f"The events of {RUNS_MAX:,} runs wait in Redis for the database already. "
            "Bring the database back; a runner then writes them."
        )
    pipeline = connection.pipeline()
    pipeline.rpush(run_key(event.run_id), json.dumps(entry))
    pipeline.zadd(INDEX_KEY, {str(event.run_id): event.occurred_at.timestamp()}, nx=True)
    pipeline.execute()


def spool_length(connections: Iterable[Redis]) -> int:
    """Runs whose events wait, on all Redis servers. Raises redis-py's errors."""
    return sum(int(connection.zcard(INDEX_KEY)) for connection in connections)


def spooled_types(connection: Redis, run_id: UUID) -> list[EventType]:
    """What waits for one run, oldest first. Raises redis-py's errors."""
    entries = (_parsed(raw) for raw in connection.lrange(run_key(run_id), 0, -1))
    return [EventType(entry["type"]) for entry in entries if entry]


def drain(connection: Redis) -> tuple[list[Event], bool]:
    """Write the events of the runs that wait longest; returns what was written, and whether more
    runs wait. Raises redis-py's and Django's database errors.
    """
    written: list[Event] = []
    oldest: list[Any] = connection.zrange(INDEX_KEY, 0, RUNS_PER_DRAIN - 1)
    waiting = 0
    for member in oldest:
        try:
            written += drain_run(connection, UUID(_text(member)))
        except UnreadableEvent as error:
            waiting += 1
            log.warning(
                "The spooled events of run %s wait: %s",
                _text(member),
                error,
                extra={"action": "spool_waits", "run_id": _text(member)},
            )
            # Behind the others, which it must not hold up.
            connection.zadd(INDEX_KEY, {member: clock.now().timestamp()}, xx=True)
    return written, len(oldest) == RUNS_PER_DRAIN and waiting < len(oldest)


def drain_run(connection: Redis, run_id: UUID) -> list[Event]:
    """Write one run's events in order, and return them. Raises as :func:`drain` does.

    Each is removed only after its commit: who dies in between leaves an entry whose id the next
    one finds in the log.
    """
    key = run_key(run_id)
    written: list[Event] = []
    entries: list[Any] = connection.lrange(key, 0, -1)
    for raw in entries:
        entry = _parsed(raw)
        if entry:
            written += _write_readable(run_id, entry)
            reach("drain_written")
        connection.lrem(key, 1, raw)
    if entries or connection.zscore(INDEX_KEY, str(run_id)) is not None:
        connection.transaction(lambda pipeline: _forget(pipeline, run_id), key)
    return written


def _forget(pipeline: Pipeline, run_id: UUID) -> None:
    """Take the run out of the index, unless an event was pushed meanwhile (WATCH repeats this)."""
    left = pipeline.llen(run_key(run_id))
    pipeline.multi()
    if not left:
        pipeline.zrem(INDEX_KEY, str(run_id))


def _parsed(raw: Any) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json.loads(raw)
        EventType(entry["type"])
        entry["id"]
    except (ValueError, KeyError, TypeError):
        log.error(
            "An entry of the spool cannot be read and is dropped: %.200r",
            raw,
            extra={"action": "spool_entry_dropped"},
        )
        return None
    return entry


def _write_readable(run_id: UUID, entry: dict[str, Any]) -> list[Event]:
    """One entry that the database will never take must not hold up the rest."""
    try:
        return _write(run_id, entry)
    except (NewerEvent, UnreadableEvent):
        raise  # nothing is wrong with the entry: it waits until its run can be read
    except (DataError, ValueError, KeyError, TypeError) as error:
        log.error(
            "%s of run %s cannot be written to the ledger and is dropped: %s",
            entry["type"],
            run_id,
            error,
            extra={"action": "spool_entry_dropped", "run_id": str(run_id)},
        )
        return []


def _write(run_id: UUID, entry: dict[str, Any]) -> list[Event]:
    def build(state: RunState) -> list[Event]:
        event_type = EventType(entry["type"])
        if entry["id"] in state.spooled or (event_type in OUTCOMES and state.outcome is not None):
            return []
        if event_type is EventType.ATTEMPT_FAILED and (entry["attempt"] or 0) < state.attempt:
            return []  # a later attempt has begun, and recorded the end of this one
        slot = entry["scheduled_for"]
        event = make.spooled(
            event_type,
            entry["data"],
            entry_id=entry["id"],
            cron=entry["cron"],
            run_id=run_id,
            version=state.version + 1,
            slot=datetime.fromisoformat(slot) if slot else None,
            attempt=entry["attempt"],
            reason=entry["reason"],
            actor=entry["actor"],
            at=datetime.fromisoformat(entry["occurred_at"]),
        )
        return [event]

    return append_to_run(read_run(run_id), build)


def _text(value: Any) -> str:
    """A connection of a project's own may decode responses."""
    return value.decode() if isinstance(value, bytes) else str(value)
