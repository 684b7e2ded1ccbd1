"""The attempts of a run, out of its events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rqcron_events.core.events import OUTCOMES, Event, EventType, keys
from rqcron_events.core.run_state import STATUS_OF_OUTCOME

__all__ = ["Attempt", "attempts", "result_of"]


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try."""

    number: int
    started_at: datetime | None = None
    worker: str = ""
    ended_at: datetime | None = None
    outcome: str = "running"
    """running, failed (another follows), or how the run ended."""
    reason: str = ""
    duration_seconds: float | None = None
    """As the worker measured it."""
    retries_left: int | None = None
    error: dict[str, Any] | None = None
    """type, message and traceback."""


def attempts(events: Sequence[Event]) -> list[Attempt]:
    """In their order. An end without a start, as of a run that was cancelled, is no attempt."""
    found: dict[int, Attempt] = {}
    for event in events:
        number = event.attempt or len(found) or 1
        if event.type is EventType.RUN_STARTED:
            found[number] = Attempt(number=number, started_at=event.occurred_at, worker=event.actor)
        elif event.type is EventType.ATTEMPT_FAILED:
            one = found.setdefault(number, Attempt(number=number, worker=event.actor))
            _end(one, event, "failed")
            one.retries_left = event.data.get(keys.RETRIES_LEFT)
        elif event.type in OUTCOMES and found:
            last = found.get(number) or found[max(found)]
            if last.ended_at is None:
                _end(last, event, STATUS_OF_OUTCOME[event.type].value)
    return [found[number] for number in sorted(found)]


def result_of(events: Sequence[Event]) -> str | None:
    """What the run returned, of crons that store it."""
    for event in events:
        if event.type is EventType.RUN_SUCCEEDED and event.data.get(keys.RESULT) is not None:
            return str(event.data[keys.RESULT])
    return None


def _end(attempt: Attempt, event: Event, outcome: str) -> None:
    attempt.ended_at, attempt.outcome, attempt.reason = event.occurred_at, outcome, event.reason
    attempt.duration_seconds = event.data.get(keys.DURATION_SECONDS)
    attempt.error = event.data.get(keys.ERROR)
