"""Inside RQ's worker: the job that runs a cron, the guard at its start, the three callbacks.

Facts about RQ 3.0 that shape this file, each seen in its source: ``on_success`` that raises turns
a good job into a failed one; ``on_failure`` is called for every attempt that has retries left,
too; a returned ``Retry`` calls nothing; a work-horse that is killed calls nothing; ``on_stopped``
and the clean-up of abandoned jobs run in the worker's parent process. So nothing here raises.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

from redis import Redis
from redis.exceptions import RedisError
from rq import Retry, get_current_job
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.timeouts import BaseTimeoutException

from . import clock, ledger
from .conf import conf
from .core.bounded import bounded, failure_data, result_text
from .core.events import OUTCOMES, Event, EventType, Reason, cron_stream
from .core.run import RunState, Start, start_verdict
from .errors import CronError
from .registry import Registered, registry
from .runs import append_to_run, read_run

__all__ = ["CronNotRegistered", "CurrentRun", "DeclineRun", "current_run", "run_cron"]

log = logging.getLogger(__name__)

META_KEY = "rqcron"


class DeclineRun(Exception):
    """Raise it in a cron when there is nothing to do: ``raise DeclineRun("no new orders")``.

    The run ends as declined, with your reason in the log; RQ sees a finished job.
    """


class CronNotRegistered(CronError):
    """The worker's code has no such cron, or its module does not import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRun:
    """The run that is being executed."""

    cron: str
    run_id: UUID
    slot: datetime | None
    """The instant it was scheduled for, UTC, or None when a person asked for it."""
    attempt: int
    """From 1."""


@dataclass(slots=True)
class _Execution:
    """One attempt in this process; the callbacks find it by the job's id."""

    state: RunState
    run: CurrentRun
    began: float
    actor: str
    closed: bool = False
    """The end is recorded already, or the start was refused."""


_current: ContextVar[CurrentRun | None] = ContextVar("rqcron_current_run", default=None)
_executions: dict[str, _Execution] = {}


def current_run() -> CurrentRun | None:
    """The run that this code is part of, or None outside of a cron's job.

    >>> current_run()
    """
    return _current.get()


def run_cron(name: str, run_id: str) -> Any:
    """The RQ job: run one cron and return what it returns. RQ calls it; you never need to."""
    job = get_current_job()
    if job is None:
        raise CronError(
            f"run_cron({name!r}, {run_id!r}) is an RQ job. To run the cron now, use "
            f"manage.py cron_trigger {name}; to test its function, call it directly."
        )
    execution = _begin(job, name, UUID(run_id))
    _executions[job.id] = execution
    if execution.closed:
        return None
    token = _current.set(execution.run)
    try:
        cron = _registered(name)
        result = cron.function(*cron.args, **cron.kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except DeclineRun as declined:
        reason = bounded(str(declined), conf().message_bytes_max)
        _close(execution, EventType.RUN_DECLINED, reason=reason)
        return None
    finally:
        _current.reset(token)
    if isinstance(result, Retry):
        _record_returned_retry(execution, job, result)
    elif result is not None:
        # RQ would find out after on_success has recorded a success, and fail the job then.
        job.serializer.dumps(result)
    return result


def _registered(name: str) -> Registered:
    registry.discover()
    cron = registry.crons.get(name)
    if cron is not None:
        return cron
    broken = "; ".join(f"{item.module}: {item.error}" for item in registry.broken_modules.values())
    problems = "; ".join(registry.problems.get(name, ()))
    why = problems or (f"modules that do not import: {broken}" if broken else "")
    raise CronNotRegistered(
        f"Cron {name!r} is not registered in this worker's code. Deploy the code that has it, or "
        f"check that its app is in INSTALLED_APPS{'; ' + why if why else ''}."
    )


# The start guard


def _begin(job: Job, name: str, asked_run_id: UUID) -> _Execution:
    meta = job.meta.get(META_KEY, {})
    run_id = UUID(meta["run_id"]) if meta.get("run_id") else asked_run_id
    slot = datetime.fromisoformat(meta["slot"]) if meta.get("slot") else None
    actor = f"worker/{job.worker_name or '?'}"
    state = RunState(run_id, cron=name, slot=slot)
    closed = False
    try:
        state = read_run(run_id)
        state.cron, state.slot = name, slot
        if _verdict(state, job) is Start.BEGIN_AGAIN:
            state = _new_run(state, job, actor)
        version = state.version
        state = append_to_run(state, lambda known: _start_events(known, job, actor))
        closed = state.version > version and not state.running
    except BaseTimeoutException:
        raise  # the job's own time is up
    except Exception:
        # I9: without the ledger the job still runs.
        log.exception(
            "Start of cron %s is not recorded; it runs all the same.",
            name,
            extra={"action": "start_not_recorded", "cron": name, "run_id": str(run_id)},
        )
        state.attempt = state.attempt or 1
    run = CurrentRun(cron=name, run_id=state.run_id, slot=slot, attempt=state.attempt)
    return _Execution(state, run, clock.monotonic_seconds(), actor, closed)


def _verdict(state: RunState, job: Job) -> Start:
    alive = False
    if state.running:
        try:
            alive = len(job.get_executions()) > 1  # one of them is this one
        except RedisError:
            alive = True
    return start_verdict(state, retries_left=job.retries_left or 0, other_execution_alive=alive)


def _start_events(state: RunState, job: Job, actor: str) -> list[Event]:
    verdict = _verdict(state, job)
    now = clock.now()
    if verdict.refusal is not None:
        log.warning(
            "Start of cron %s refused: %s.",
            state.cron,
            verdict.refusal,
            extra={"action": "start_refused", "cron": state.cron, "run_id": str(state.run_id)},
        )
        refused = _event(state, EventType.START_REFUSED, now, actor, reason=verdict.refusal)
        return [refused]
    events: list[Event] = []
    if verdict is Start.BEGIN_AFTER_DEATH:
        events.append(
            _event(
                state,
                EventType.ATTEMPT_FAILED,
                now,
                actor,
                attempt=state.attempt,
                reason=Reason.WORKER_KILLED,
                data={"retries_left": (job.retries_left or 0) + 1, "found_by": "next start"},
            )
        )
    started = _event(
        state,
        EventType.RUN_STARTED,
        now,
        actor,
        attempt=state.attempt + 1,
        data={"retries_left": job.retries_left or 0},
        after=len(events),
    )
    return [*events, started]


def _new_run(ended: RunState, job: Job, actor: str) -> RunState:
    """Somebody requeued a job whose run has its outcome: what runs now is a run of its own."""
    run_id = uuid4()
    ledger.append_next(
        [
            Event(
                stream=cron_stream(ended.cron),
                version=0,
                type=EventType.RUN_REQUESTED,
                cron=ended.cron,
                run_id=run_id,
                scheduled_for=ended.slot,
                reason="the job was requeued in RQ",
                actor=actor,
                occurred_at=clock.now(),
                data={"trigger": "requeue", "of": str(ended.run_id)},
            )
        ]
    )
    job.meta[META_KEY] = {**job.meta.get(META_KEY, {}), "run_id": str(run_id)}
    job.save_meta()  # type: ignore[no-untyped-call]
    return RunState(run_id, cron=ended.cron, slot=ended.slot)


# The callbacks


def on_success(job: Job, connection: Redis, result: Any) -> None:
    """RQ calls it before it marks the job finished."""
    execution = _executions.pop(job.id, None)
    if execution is None or execution.closed:
        return
    data: dict[str, Any] = {}
    cron = registry.crons.get(execution.run.cron)
    if result is not None and cron is not None and cron.definition.store_result:
        data["result"] = result_text(result, conf().result_bytes_max)
    _close(execution, EventType.RUN_SUCCEEDED, data=data)


def on_failure(
    job: Job,
    connection: Redis,
    exc_type: type[BaseException] | None,
    exc_value: BaseException | None,
    exc_traceback: TracebackType | None,
) -> None:
    """RQ calls it after each attempt that raised, and for jobs that a dead worker left behind."""
    execution = _executions.pop(job.id, None)
    if execution is not None and execution.closed:
        return
    retries_left = job.retries_left or 0
    limits = conf()
    error = failure_data(
        exc_type,
        exc_value,
        exc_traceback,
        message_bytes_max=limits.message_bytes_max,
        traceback_bytes_max=limits.traceback_bytes_max,
    )
    data = {"error": error, "retries_left": retries_left}
    reason = _failure_reason(exc_type)
    event_type = EventType.ATTEMPT_FAILED if retries_left > 0 else EventType.RUN_FAILED
    _close(execution or _elsewhere(job), event_type, reason=reason, data=data)


def on_stopped(job: Job, connection: Redis) -> None:
    """RQ calls it in the worker's parent process after it killed the work-horse on request."""
    _executions.pop(job.id, None)
    _close(_elsewhere(job), EventType.RUN_STOPPED, reason="stopped on request")


def _elsewhere(job: Job) -> _Execution:
    """The execution of a job that ran in another process, as the log knows it."""
    name, asked = job.args[0], job.args[1]
    meta = job.meta.get(META_KEY, {})
    run_id = UUID(meta.get("run_id") or asked)
    slot = datetime.fromisoformat(meta["slot"]) if meta.get("slot") else None
    state = RunState(run_id, cron=name, slot=slot)
    run = CurrentRun(cron=name, run_id=run_id, slot=slot, attempt=0)
    return _Execution(state, run, 0, f"worker/{job.worker_name or '?'}")


def _record_returned_retry(execution: _Execution, job: Job, retry: Retry) -> None:
    """RQ calls no callback for a returned Retry, so it is recorded before RQ sees it."""
    done = job.number_of_retries or 0
    exhausted = done > 0 and done >= retry.max
    data = {"retries_left": 0 if exhausted else retry.max - done}
    event_type = EventType.RUN_FAILED if exhausted else EventType.ATTEMPT_FAILED
    _close(execution, event_type, reason=Reason.RETRY_RETURNED, data=data)


def _close(
    execution: _Execution,
    event_type: EventType,
    *,
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """Record how the attempt ended, once. Never raises: the job's own fate must not change."""
    execution.closed = True
    now = clock.now()
    seconds = clock.monotonic_seconds() - execution.began if execution.began else None

    def build(state: RunState) -> list[Event] | None:
        if state.outcome is not None or (event_type not in OUTCOMES and not state.running):
            return None  # somebody else has the last word already
        content = dict(data or {})
        if seconds is not None:
            content["duration_seconds"] = round(seconds, 6)
        attempt = state.attempt or execution.run.attempt or None
        return [
            _event(
                state,
                event_type,
                now,
                execution.actor,
                attempt=attempt,
                reason=reason,
                data=content,
            )
        ]

    cron, run_id = execution.run.cron, str(execution.run.run_id)
    try:
        with _own_connection():
            state = execution.state if execution.state.version else read_run(execution.run.run_id)
            state.cron, state.slot = cron, execution.run.slot
            append_to_run(state, lambda known: build(_named(known, execution.run)))
    except Exception:
        log.exception(
            "%s of cron %s is not recorded.",
            event_type.value,
            cron,
            extra={"action": "outcome_not_recorded", "cron": cron, "run_id": run_id},
        )


def _named(state: RunState, run: CurrentRun) -> RunState:
    state.cron = state.cron or run.cron
    state.slot = state.slot or run.slot
    return state


class _own_connection:  # noqa: N801 - reads as a with statement
    """Close the database connection again if it was closed before.

    RQ runs some callbacks in the worker's parent process. A connection left open there would be
    shared by every work-horse that it forks.
    """

    def __enter__(self) -> None:
        self._db = ledger.connection()
        self._was_closed = self._db.connection is None

    def __exit__(self, *_: object) -> None:
        if self._was_closed and not self._db.in_atomic_block:
            self._db.close()


def _event(
    state: RunState,
    event_type: EventType,
    at: datetime,
    actor: str,
    *,
    attempt: int | None = None,
    reason: str = "",
    data: dict[str, Any] | None = None,
    after: int = 0,
) -> Event:
    return Event(
        stream=state.stream,
        version=state.version + 1 + after,
        type=event_type,
        cron=state.cron,
        run_id=state.run_id,
        attempt=attempt,
        scheduled_for=state.slot,
        reason=str(reason),
        actor=actor,
        occurred_at=at,
        data=data or {},
    )


def _failure_reason(exc_type: type[BaseException] | None) -> Reason:
    if exc_type is None:
        return Reason.EXCEPTION
    if issubclass(exc_type, BaseTimeoutException):
        return Reason.TIMEOUT
    if issubclass(exc_type, AbandonedJobError):
        return Reason.WORKER_KILLED
    if issubclass(exc_type, CronNotRegistered):
        return Reason.NOT_REGISTERED
    return Reason.EXCEPTION
