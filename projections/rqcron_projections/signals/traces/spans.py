"""Which spans a run has, by its events. Pure; knows nothing of OpenTelemetry.

The names of attributes are those of OpenTelemetry's semantic conventions for messaging and FaaS where
there are any, and begin with ``rqcron.`` otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Any
from uuid import UUID

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import OUTCOMES, Event, EventType, Reason, make
from rqcron_events.core.events.keys import (
    COUNT,
    DURATION_SECONDS,
    ERROR,
    ERROR_MESSAGE,
    ERROR_TRACEBACK,
    ERROR_TYPE,
    FIRST,
    FOUND,
    JOB_ID,
    LATENESS_SECONDS,
    OF,
    QUEUE,
    TRIGGER,
)
from rqcron_events.core.events.trace_ids import attempt_span_id, decision_span_id, run_span_id
from rqcron_events.core.run_state import attempt_number

__all__ = ["Kind", "OfCron", "SpanData", "spans_of_run", "spans_of_slots"]

REQUESTS = (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)
BAD = (EventType.RUN_FAILED, EventType.RUN_LOST)

Value = str | int | float
Attributes = dict[str, Value]


class Kind(StrEnum):
    """As OpenTelemetry has it."""

    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanData:
    """One span."""

    name: str
    kind: Kind
    trace_id: int
    span_id: int
    start: datetime
    end: datetime
    parent_id: int | None = None
    """In the same trace."""
    links: tuple[tuple[int, int], ...] = ()
    """Trace id and span id of each."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str | None = None
    """Why it counts as an error; None: it does not."""
    exception: Mapping[str, Value] | None = None
    """What was raised, at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfCron:
    """What no event of a run tells: as the cron's definition has it now."""

    name: str
    """The present one."""
    queue: str = ""
    expression: str = ""
    """Of a cron expression; empty for ``every``."""


def spans_of_run(events: Sequence[Event], cron: OfCron) -> list[SpanData]:
    """Of a run that has ended: its decision, the run, each attempt. ``events``: all of it, in order."""
    outcome = next(event for event in events if event.type in OUTCOMES)
    assert outcome.run_id is not None, "outcomes have one"
    run = _Run(outcome.run_id, cron, events, outcome)
    attempts = list(_attempts(run))
    return [*_decision(run), _run(run, attempts), *attempts]


def spans_of_slots(event: Event, cron: OfCron) -> list[SpanData]:
    """Of slots that were skipped or missed: one, in the trace that the run of the last would have."""
    assert event.scheduled_for is not None, "decisions have one"
    is_bad = event.type is EventType.SLOT_MISSED and event.reason != Reason.RETIRED
    first = event.parsed_time(FIRST) or event.scheduled_for
    run_id = run_id_for_slot(event.cron, event.scheduled_for)
    attributes = _given(
        {
            "rqcron.cron": cron.name,
            "rqcron.slot": event.scheduled_for.isoformat(),
            "rqcron.first_slot": first.isoformat(),
            "rqcron.slots": int(event.data.get(COUNT, 1)),
            "rqcron.reason": event.reason,
            "rqcron.actor": event.actor,
            "faas.cron": cron.expression,
            "error.type": event.reason if is_bad else "",
        }
    )
    word = "miss" if event.type is EventType.SLOT_MISSED else "skip"
    return [
        SpanData(
            name=f"{word} {cron.name}",
            kind=Kind.INTERNAL,
            trace_id=run_id.int,
            span_id=decision_span_id(run_id),
            start=event.occurred_at,
            end=event.occurred_at,
            attributes=attributes,
            error=event.reason if is_bad else None,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Run:
    """What all spans of a run need."""

    run_id: UUID
    cron: OfCron
    events: Sequence[Event]
    outcome: Event

    def first(self, *types: EventType) -> Event | None:
        return next((event for event in self.events if event.type in types), None)

    @property
    def request(self) -> Event | None:
        """The decision or the request; None where the log has lost it."""
        return self.first(*REQUESTS)

    @property
    def slot(self) -> datetime | None:
        return self.outcome.scheduled_for

    def common(self, operation: str) -> Attributes:
        enqueued, request = self.first(EventType.RUN_ENQUEUED), self.request
        told = enqueued.data if enqueued else {}
        trigger = request.data.get(TRIGGER, "slot") if request else "slot"
        return {
            "messaging.system": "rq",
            "messaging.operation.name": operation,
            "messaging.destination.name": str(told.get(QUEUE) or self.cron.queue),
            "messaging.message.id": str(told.get(JOB_ID) or f"cron-{self.run_id}"),
            "faas.trigger": "timer" if trigger == "slot" else "other",
            "faas.cron": self.cron.expression if trigger == "slot" else "",
            "rqcron.cron": self.cron.name,
            "rqcron.run_id": str(self.run_id),
            "rqcron.slot": self.slot.isoformat() if self.slot else "",
            "rqcron.trigger": str(trigger),
        }


def _decision(run: _Run) -> Iterator[SpanData]:
    """From the decision until the job is in Redis."""
    event, enqueued = run.request, run.first(EventType.RUN_ENQUEUED)
    if event is None:
        return
    word = "fire" if event.type is EventType.SLOT_FIRED else "request"
    attributes = {
        **run.common(word),
        "messaging.operation.type": "send",
        "rqcron.actor": event.actor,
        "rqcron.reason": event.reason,
    }
    lateness = _seconds(event.data.get(LATENESS_SECONDS))
    end = enqueued.occurred_at if enqueued else event.occurred_at
    yield SpanData(
        name=f"{word} {run.cron.name}",
        kind=Kind.PRODUCER,
        trace_id=run.run_id.int,
        span_id=decision_span_id(run.run_id),
        start=event.occurred_at,
        end=max(event.occurred_at, end),
        links=_repeated(event),
        attributes=_given(attributes)
        | ({} if lateness is None else {"rqcron.lateness_seconds": lateness}),
    )


def _run(run: _Run, attempts: Sequence[SpanData]) -> SpanData:
    """From the start of its first attempt to its end; of no length where it never started."""
    outcome = run.outcome
    start = attempts[0].start if attempts else outcome.occurred_at
    end = attempts[-1].end if _ends_attempt(outcome, attempts) else outcome.occurred_at
    decision = decision_span_id(run.run_id) if run.request else None
    attributes: Attributes = {
        **run.common("run"),
        "messaging.operation.type": "process",
        "rqcron.outcome": outcome.type.value.removeprefix("run_"),
        "rqcron.reason": outcome.reason,
        "rqcron.attempts": len(attempts),
        "error.type": _error_type(outcome) if outcome.type in BAD else "",
    }
    return SpanData(
        name=f"run {run.cron.name}",
        kind=Kind.CONSUMER,
        trace_id=run.run_id.int,
        span_id=run_span_id(run.run_id),
        parent_id=decision,
        links=((run.run_id.int, decision),) if decision else (),
        start=start,
        end=max(start, end),
        attributes=_given(attributes),
        error=_why(outcome) if outcome.type in BAD else None,
    )


def _ends_attempt(outcome: Event, attempts: Sequence[SpanData]) -> bool:
    """Not the one of a run that was cancelled while it waited for its next attempt."""
    return bool(attempts) and outcome.type is not EventType.RUN_CANCELLED


def _attempts(run: _Run) -> Iterator[SpanData]:
    newest, started = 0, None
    for event in run.events:
        if event.type is EventType.RUN_STARTED:
            number = attempt_number(event, newest)
            if started is not None and number > newest:
                yield _attempt(run, newest, started, _died(started, newest, found_at=event))
            newest, started = number, event
        elif event.type is EventType.ATTEMPT_FAILED or event is run.outcome:
            if started is None and not _was_begun(event, newest):
                continue
            newest = newest if started else event.attempt or newest + 1
            yield _attempt(run, newest, started, event)
            started = None
        if event is run.outcome:
            return


def _died(started: Event, number: int, *, found_at: Event) -> Event:
    """What the next attempt would have recorded of the one before, had it reached the database."""
    assert started.run_id is not None, "its stream is a run's"
    return make.attempt_died(
        attempt=number,
        retries_left=0,
        cron=started.cron,
        run_id=started.run_id,
        version=found_at.version,
        slot=started.scheduled_for,
        actor=found_at.actor,
        at=found_at.occurred_at,
    )


def _was_begun(event: Event, newest: int) -> bool:
    """Whether it ends an attempt whose start nobody recorded."""
    if event.type is EventType.RUN_CANCELLED:
        return False
    return event.type is EventType.ATTEMPT_FAILED or (event.attempt or 0) > newest


def _attempt(run: _Run, number: int, started: Event | None, ended: Event) -> SpanData:
    start, end = _times(started, ended)
    is_bad = ended.type in (*BAD, EventType.ATTEMPT_FAILED)
    attributes: Attributes = {
        "rqcron.cron": run.cron.name,
        "rqcron.run_id": str(run.run_id),
        "rqcron.attempt": number,
        "rqcron.reason": ended.reason,
        "rqcron.found": str(ended.data.get(FOUND, "")),
        "rqcron.worker": started.actor if started else "",
        "error.type": _error_type(ended) if is_bad else "",
    }
    return SpanData(
        name=f"attempt {run.cron.name}",
        kind=Kind.INTERNAL,
        trace_id=run.run_id.int,
        span_id=attempt_span_id(run.run_id, number),
        parent_id=run_span_id(run.run_id),
        start=start,
        end=end,
        attributes=_given(attributes),
        error=_why(ended) if is_bad else None,
        exception=_exception(ended) if is_bad else None,
    )


def _times(started: Event | None, ended: Event) -> tuple[datetime, datetime]:
    """Who found an attempt ended did so later; where RQ kept how long it was, that counts."""
    seconds = _seconds(ended.data.get(DURATION_SECONDS))
    lasted = None if seconds is None else timedelta(seconds=seconds)
    if started is None:
        return ended.occurred_at - (lasted or timedelta(0)), ended.occurred_at
    start, end = started.occurred_at, ended.occurred_at
    if FOUND in ended.data and lasted is not None:
        end = start + lasted
    return start, max(start, end)  # clocks of two machines


def _repeated(event: Event) -> tuple[tuple[int, int], ...]:
    """The run that it repeats."""
    try:
        of = UUID(event.data[OF])
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()
    return ((of.int, run_span_id(of)),)


def _error(event: Event) -> Mapping[str, Any]:
    found = event.data.get(ERROR)
    return found if isinstance(found, dict) else {}


def _error_type(event: Event) -> str:
    return str(_error(event).get(ERROR_TYPE) or event.reason or event.type.value)


def _why(event: Event) -> str:
    """One line."""
    parts = (event.reason, _error(event).get(ERROR_TYPE), _error(event).get(ERROR_MESSAGE))
    return ": ".join(str(part) for part in parts if part)


def _exception(event: Event) -> Attributes | None:
    error = _error(event)
    if not error.get(ERROR_TYPE):
        return None
    return _given(
        {
            "exception.type": str(error[ERROR_TYPE]),
            "exception.message": str(error.get(ERROR_MESSAGE) or ""),
            "exception.stacktrace": str(error.get(ERROR_TRACEBACK) or ""),
        }
    )


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) and 0 <= value < 1e9 else None


def _given(values: Mapping[str, Value]) -> Attributes:
    """Without what is empty."""
    pairs: Iterable[tuple[str, Value]] = values.items()
    return {key: value for key, value in pairs if value != ""}
