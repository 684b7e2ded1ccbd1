"""What became of a run, out of its events: the result, and each step with its time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from ..events import OUTCOMES, Event, EventType, Reason, keys
from ..run_state import STATUS_OF_OUTCOME, RunStatus, attempt_number, was_withdrawn
from ..wording import because

__all__ = ["Request", "RunSummary", "Step", "run_summary", "steps"]

DETAIL_CHARACTERS_MAX = 120


class Request(NamedTuple):
    """A further run of a slot, which somebody asked for."""

    run_id: UUID | None
    trigger: str
    """rerun or backfill."""
    actor: str
    reason: str
    at: datetime

    @classmethod
    def from_event(cls, event: Event) -> Self:
        trigger = event.data.get(keys.TRIGGER, "manual")
        return cls(event.run_id, trigger, event.actor, event.reason, event.occurred_at)

    def to_data(self) -> dict[str, Any]:
        at = self.at.astimezone(UTC).isoformat()
        return {**self._asdict(), "run_id": str(self.run_id), "at": at}


class Step(NamedTuple):
    """Something that happened to a slot or to its run."""

    name: str
    """slot, decided, requested, enqueued, enqueue_failed, started, attempt_failed,
    start_refused, or how it ended: succeeded, failed, stopped, cancelled, declined, lost."""
    at: datetime
    seconds: float | None
    """Since the step before; None for the first."""
    detail: str = ""
    """Queue, worker, error: a few words."""

    def to_data(self) -> dict[str, Any]:
        return {
            "step": self.name,
            "at": self.at.astimezone(UTC).isoformat(),
            "seconds": self.seconds,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What became of a run, out of its events."""

    id: UUID
    status: RunStatus
    trigger: str
    """slot, manual, rerun, backfill or requeue."""
    queue: str
    enqueued_at: datetime | None
    started_at: datetime | None
    """First attempt."""
    finished_at: datetime | None
    attempts: int
    worker: str
    duration_seconds: float | None
    reason: str
    error: dict[str, Any] | None
    """type, message and traceback of the last failure, or of RQ's refusal."""
    not_before: datetime | None = None
    """When it is to begin, where somebody gave a time."""
    cancelled_by: str = ""
    """Who cancelled it with ``cron_cancel``; empty when nobody did."""
    refused_at: datetime | None = None
    """Since when RQ takes no job for it, for the present cause; None when it does."""

    def to_data(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "status": self.status.value,
            "trigger": self.trigger,
            "queue": self.queue,
            "enqueued_at": _iso(self.enqueued_at),
            "started_at": _iso(self.started_at),
            "finished_at": _iso(self.finished_at),
            "attempts": self.attempts,
            "worker": self.worker,
            "duration_seconds": self.duration_seconds,
            "reason": self.reason,
            "error": self.error,
        }


def run_summary(run_id: UUID, events: Sequence[Event]) -> RunSummary:
    """Fold a run's events (its decision or request among them) into what people ask for."""
    status, trigger, queue, worker, reason = RunStatus.REQUESTED, "slot", "", "", ""
    enqueued_at = started_at = finished_at = None
    refused_at, cancelled_by, not_before = None, "", None
    attempts, duration, error = 0, None, None
    for event in events:
        match event.type:
            case EventType.RUN_REQUESTED:
                trigger = event.data.get(keys.TRIGGER, "manual")
                not_before = event.parsed_time(keys.NOT_BEFORE)
            case EventType.RUN_ENQUEUED:
                queue, enqueued_at = event.data.get(keys.QUEUE, ""), event.occurred_at
                if status is RunStatus.REQUESTED:
                    status, error, refused_at = RunStatus.ENQUEUED, None, None
            case EventType.ENQUEUE_FAILED:
                queue = event.data.get(keys.QUEUE, "")
                if event.reason == Reason.REFUSED and status is RunStatus.REQUESTED:
                    error, refused_at = event.data.get(keys.ERROR), event.occurred_at
            case EventType.RUN_STARTED:
                status, worker = RunStatus.RUNNING, event.actor
                started_at = started_at or event.occurred_at
                attempts = max(attempts, attempt_number(event, attempts))
            case EventType.ATTEMPT_FAILED:
                status, reason = RunStatus.RETRYING, event.reason
                error = event.data.get(keys.ERROR)
            case _ if event.type in OUTCOMES:
                status = STATUS_OF_OUTCOME[event.type]
                finished_at, reason = event.occurred_at, event.reason
                duration = event.data.get(keys.DURATION_SECONDS)
                error = event.data.get(keys.ERROR) if status is not RunStatus.SUCCEEDED else None
                cancelled_by = event.actor if was_withdrawn(event) else ""
                worker = worker or ("" if cancelled_by else event.actor)
            case _:
                pass
    return RunSummary(
        id=run_id,
        status=status,
        trigger=trigger,
        queue=queue,
        enqueued_at=enqueued_at,
        started_at=started_at,
        finished_at=finished_at,
        attempts=attempts,
        worker=worker,
        duration_seconds=duration,
        reason=reason,
        error=error,
        not_before=not_before,
        cancelled_by=cancelled_by,
        refused_at=refused_at,
    )


def steps(origin: Event, events: Sequence[Event]) -> list[Step]:
    """The chain from the slot (or a person's request) to the end, with the times in between.

    ``origin`` is the decision or the request; ``events`` are the run's.
    """
    found: list[Step] = []
    for name, at, detail in _moments(origin, events):
        before = found[-1].at if found else None
        seconds = round((at - before).total_seconds(), 6) if before else None
        found.append(Step(name, at, seconds, detail))
    return found


def _moments(origin: Event, events: Sequence[Event]) -> Iterator[tuple[str, datetime, str]]:
    if origin.type is EventType.SLOT_FIRED and origin.scheduled_for is not None:
        yield "slot", origin.scheduled_for, ""
        yield "decided", origin.occurred_at, f"by {origin.actor}"
    else:
        yield "requested", origin.occurred_at, f"by {origin.actor}{because(origin.reason)}"
    for event in events:
        name = _STEPS.get(event.type)
        if name is not None:
            yield name, event.occurred_at, _detail(event)


def _detail(event: Event) -> str:
    match event.type:
        case EventType.RUN_ENQUEUED:
            found = because(event.data.get(keys.FOUND, ""))
            return f"in queue {event.data.get(keys.QUEUE)}{found}"
        case EventType.RUN_STARTED:
            return f"attempt {event.attempt} on {event.actor}"
        case EventType.ATTEMPT_FAILED:
            left = because(f"{event.data.get(keys.RETRIES_LEFT)} left")
            return f"attempt {event.attempt}: {_failure(event)}{left}"
        case EventType.START_REFUSED:
            return f"{event.reason} on {event.actor}"
        case EventType.RUN_CANCELLED if was_withdrawn(event):
            return f"by {event.actor}{because(event.reason)}"
        case _:
            return _failure(event)


def _failure(event: Event) -> str:
    error = event.data.get(keys.ERROR) or {}
    if not error.get(keys.ERROR_TYPE):
        return event.reason
    text = f"{error[keys.ERROR_TYPE]}: {error.get(keys.ERROR_MESSAGE, '')}".rstrip(": ")
    return text if len(text) <= DETAIL_CHARACTERS_MAX else text[:DETAIL_CHARACTERS_MAX] + "..."


_STEPS: dict[EventType, str] = {
    EventType.RUN_ENQUEUED: "enqueued",
    EventType.ENQUEUE_FAILED: "enqueue_failed",
    EventType.RUN_STARTED: "started",
    EventType.ATTEMPT_FAILED: "attempt_failed",
    EventType.START_REFUSED: "start_refused",
    **STATUS_OF_OUTCOME,
}
"""Other events are no steps of their own."""


def _iso(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None
