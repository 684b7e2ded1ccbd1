"""What became of a run, out of its events: the result, and each step with its time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from ..events import OUTCOMES, Event, EventType
from ..run_state import attempt_number
from ..wording import Show, because, clause, duration

__all__ = [
    "Request",
    "RunSummary",
    "Step",
    "refused_text",
    "requests_text",
    "run_summary",
    "run_text",
    "steps",
]

DETAIL_CHARACTERS_MAX = 120
REQUESTS_NAMED_MAX = 3


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
        trigger = event.data.get("trigger", "manual")
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
    status: str
    """requested, enqueued, running, retrying, succeeded, failed, stopped, cancelled, declined,
    lost."""
    trigger: str
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
    """type, message and traceback of the last failure."""

    def to_data(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "status": self.status,
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
    status, trigger, queue, worker, reason = "requested", "slot", "", "", ""
    enqueued_at = started_at = finished_at = None
    attempts, duration, error = 0, None, None
    for event in events:
        match event.type:
            case EventType.RUN_REQUESTED:
                trigger = event.data.get("trigger", "manual")
            case EventType.RUN_ENQUEUED:
                queue, enqueued_at = event.data.get("queue", ""), event.occurred_at
                if status == "requested":
                    status = "enqueued"
            case EventType.ENQUEUE_FAILED:
                queue = event.data.get("queue", "")
            case EventType.RUN_STARTED:
                status, worker = "running", event.actor
                started_at = started_at or event.occurred_at
                attempts = max(attempts, attempt_number(event, attempts))
            case EventType.ATTEMPT_FAILED:
                status, reason, error = "retrying", event.reason, event.data.get("error")
            case _ if event.type in OUTCOMES:
                status = event.type.value.removeprefix("run_")
                finished_at, reason = event.occurred_at, event.reason
                duration = event.data.get("duration_seconds")
                error = event.data.get("error") if status != "succeeded" else None
                worker = worker or event.actor
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
        if event.type is EventType.RUN_ENQUEUED:
            found = event.data.get("found", "")
            yield (
                "enqueued",
                event.occurred_at,
                f"in queue {event.data.get('queue')}{because(found)}",
            )
        elif event.type is EventType.RUN_STARTED:
            yield "started", event.occurred_at, f"attempt {event.attempt} on {event.actor}"
        elif event.type is EventType.ATTEMPT_FAILED:
            left = event.data.get("retries_left")
            text = f"attempt {event.attempt}: {_failure_text(event)}"
            yield "attempt_failed", event.occurred_at, f"{text}{because(f'{left} left')}"
        elif event.type is EventType.ENQUEUE_FAILED:
            yield "enqueue_failed", event.occurred_at, _failure_text(event)
        elif event.type is EventType.START_REFUSED:
            yield "start_refused", event.occurred_at, f"{event.reason} on {event.actor}"
        elif event.type in OUTCOMES:
            name = event.type.value.removeprefix("run_")
            yield name, event.occurred_at, _failure_text(event)


def _failure_text(event: Event) -> str:
    error = event.data.get("error") or {}
    if error.get("type"):
        text = f"{error['type']}: {error.get('message', '')}".rstrip(": ")
        return text if len(text) <= DETAIL_CHARACTERS_MAX else text[:DETAIL_CHARACTERS_MAX] + "..."
    return event.reason


def run_text(run: RunSummary) -> str:
    """How it stands, as the second half of a sentence."""
    took = f" in {duration(run.duration_seconds)}" if run.duration_seconds is not None else ""
    tries = f" after {run.attempts} attempts" if run.attempts > 1 else ""
    match run.status:
        case "requested":
            return "its run is decided but not yet in Redis"
        case "enqueued":
            return f"its run waits in queue {run.queue!r}"
        case "running":
            return f"its run is being executed (attempt {run.attempts}) by {run.worker}"
        case "retrying":
            return f"attempt {run.attempts} of its run failed{_error_text(run)} and RQ tries again"
        case "succeeded":
            return f"its run succeeded{took}{tries}"
        case "failed":
            return f"its run failed{took}{tries}{_error_text(run)}"
        case "declined":
            return f"its run found nothing to do{because(run.reason)}"
        case _:
            return f"its run was {run.status}{because(run.reason)}"


def refused_text(events: Sequence[Event]) -> str:
    """A sentence about the starts of a run that were refused, or nothing."""
    refused = [event for event in events if event.type is EventType.START_REFUSED]
    if not refused:
        return ""
    many = (
        f"{len(refused)} further starts of it were" if refused[1:] else "A second start of it was"
    )
    return f" {many} refused{because(refused[-1].reason.replace('_', ' '))}."


def requests_text(requests: Sequence[Request], show: Show) -> str:
    """Sentences about the further runs of a slot, or nothing."""
    text = "".join(
        f" {request.actor or 'Somebody'} asked for run {str(request.run_id)[:8]} of this slot at "
        f"{show(request.at)}, by {request.trigger}{because(request.reason)}."
        for request in requests[:REQUESTS_NAMED_MAX]
    )
    more = len(requests) - REQUESTS_NAMED_MAX
    return text + (f" So did {more} more requests." if more > 0 else "")


def _error_text(run: RunSummary) -> str:
    if run.error and run.error.get("type"):
        return clause(f": {run.error['type']}: {run.error.get('message', '')}".rstrip(": "))
    return because(run.reason)


def _iso(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None
