"""The facts that the log holds, and how each is made.

Wire names are literals in the past tense. Three times are kept apart: ``scheduled_for`` (the
slot), ``occurred_at`` (the writer's clock) and ``recorded_at`` (the database's clock).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

__all__ = [
    "DECISIONS",
    "DEFINITION_TYPES",
    "LEDGER_STREAM",
    "OUTCOMES",
    "RUNNER_TYPES",
    "SUCCESSES",
    "Event",
    "EventType",
    "Reason",
    "cron_stream",
    "run_stream",
    "runner_stream",
]


class EventType(StrEnum):
    """The wire name of every event."""

    CRON_REGISTERED = "cron_registered"
    CRON_CHANGED = "cron_changed"
    CRON_RETIRED = "cron_retired"
    CRON_PAUSED = "cron_paused"
    CRON_RESUMED = "cron_resumed"
    SLOT_FIRED = "slot_fired"
    SLOT_SKIPPED = "slot_skipped"
    SLOT_MISSED = "slot_missed"
    RUN_REQUESTED = "run_requested"

    RUN_ENQUEUED = "run_enqueued"
    ENQUEUE_FAILED = "enqueue_failed"
    RUN_STARTED = "run_started"
    ATTEMPT_FAILED = "attempt_failed"
    RUN_SUCCEEDED = "run_succeeded"
    RUN_FAILED = "run_failed"
    RUN_STOPPED = "run_stopped"
    RUN_CANCELLED = "run_cancelled"
    RUN_DECLINED = "run_declined"
    RUN_LOST = "run_lost"
    START_REFUSED = "start_refused"

    RUNNER_STARTED = "runner_started"
    RUNNER_STOPPED = "runner_stopped"
    RUNNER_LOST = "runner_lost"

    ALL_PAUSED = "all_paused"
    ALL_RESUMED = "all_resumed"
    PROJECTION_REBUILT = "projection_rebuilt"


DECISIONS = frozenset({EventType.SLOT_FIRED, EventType.SLOT_SKIPPED, EventType.SLOT_MISSED})
"""Each covers slots of its cron; ``scheduled_for`` is the last slot that it covers."""

DEFINITION_TYPES = (
    EventType.CRON_REGISTERED,
    EventType.CRON_CHANGED,
    EventType.CRON_RETIRED,
    EventType.CRON_PAUSED,
    EventType.CRON_RESUMED,
)
"""What changes which definition is in force, and whether it is paused."""

RUNNER_TYPES = (EventType.RUNNER_STARTED, EventType.RUNNER_STOPPED, EventType.RUNNER_LOST)

OUTCOMES = frozenset(
    {
        EventType.RUN_SUCCEEDED,
        EventType.RUN_FAILED,
        EventType.RUN_STOPPED,
        EventType.RUN_CANCELLED,
        EventType.RUN_DECLINED,
        EventType.RUN_LOST,
    }
)
"""Each ends its run; a run has exactly one."""

SUCCESSES = frozenset({EventType.RUN_SUCCEEDED, EventType.RUN_DECLINED})
"""What the run was for is done: it is never started again."""


class Reason(StrEnum):
    """Why a slot did not fire, or how a run ended. Complete facts, for people and for queries."""

    OVERLAP = "overlap"
    PAUSED = "paused"
    ALL_PAUSED = "all_paused"

    TOO_LATE = "too_late"
    SUPERSEDED = "superseded"
    RETIRED = "retired"
    """The cron left the code before anybody decided the slot."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    WORKER_KILLED = "worker_killed"
    RETRY_RETURNED = "retry_returned"
    """The function returned RQ's Retry."""
    NOT_REGISTERED = "not_registered"
    """The worker's code has no such cron, or its module does not import."""

    ALREADY_RUNNING = "already_running"
    ALREADY_SUCCEEDED = "already_succeeded"
    ALREADY_ENDED = "already_ended"
    """It failed or was stopped, and the job was created anew without anybody asking for it."""


LEDGER_STREAM = "ledger"


def cron_stream(name: str) -> str:
    return f"cron/{name}"


def run_stream(run_id: UUID) -> str:
    return f"run/{run_id}"


def runner_stream(runner_id: str) -> str:
    return f"runner/{runner_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact. ``id`` and ``recorded_at`` are None until the ledger has written it."""

    stream: str
    version: int
    """Position in its stream, from 1, without gaps."""
    type: EventType
    occurred_at: datetime
    """The writer's clock, UTC."""
    cron: str = ""
    """Name of the cron, or empty on runner and ledger streams."""
    run_id: UUID | None = None
    attempt: int | None = None
    """From 1."""
    scheduled_for: datetime | None = None
    """The slot, UTC."""
    reason: str = ""
    actor: str = ""
    """Who: a person, or ``runner/<id>``, ``worker/<name>``."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Everything else, JSON-ready, already upcast to the current schema version."""
    id: int | None = None
    recorded_at: datetime | None = None

    def parsed_time(self, key: str) -> datetime | None:
        """An ISO 8601 time out of ``data``, or None when it is absent."""
        value = self.data.get(key)
        return datetime.fromisoformat(value) if value else None
