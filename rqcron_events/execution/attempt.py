"""One attempt at a run: whether it may start (I4), and recording its start and its end.

Whatever the ledger does, the job goes on (I9): what cannot be written within a bound goes to the
spool in Redis, and from there into the log later, with its true time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from redis.exceptions import RedisError
from rq.job import Job
from rq.timeouts import BaseTimeoutException

from .. import clock
from ..conf import conf
from ..core.events import OUTCOMES, SUCCESSES, Event, EventType, Reason, cron_stream
from ..core.run_state import RunState, Start, start_verdict
from ..ledger import store
from ..ledger.run_streams import append_to_run, read_run
from ..process.failpoints import reach
from ..registry import registry
from . import spool
from .enqueuer import META_KEY
from .time_limit import time_limit

__all__ = ["Attempt", "CurrentRun", "begin", "close", "elsewhere"]

log = logging.getLogger(__name__)


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
class Attempt:
    """One attempt in this process; the callbacks find it by the job's id."""

    run: CurrentRun
    job: Job
    state: RunState
    began: float | None
    """Monotonic seconds, or None when it ran in another process."""
    actor: str
    closed: bool = False
    """The end is recorded already, or the start was refused."""


def begin(job: Job, name: str, asked_run_id: UUID) -> Attempt:
    """Record the start, or that it is refused (then the attempt is closed)."""
    meta = job.meta.get(META_KEY, {})
    run_id = UUID(meta["run_id"]) if meta.get("run_id") else asked_run_id
    slot = datetime.fromisoformat(meta["slot"]) if meta.get("slot") else None
    actor = _actor(job)
    state = RunState(run_id, cron=name, slot=slot)
    closed = False
    reach("before_start")
    try:
        with time_limit(conf().worker_wait_seconds):
            _write_spooled(job, run_id)
            state = _named(read_run(run_id), name, slot)
            if _verdict(state, job) is Start.BEGIN_AGAIN:
                state = _new_run(state, job, actor)
            last: list[Event] = []

            def build(known: RunState) -> list[Event]:
                last[:] = _start_events(_named(known, name, slot), job, actor)
                return last

            state = append_to_run(state, build)
            closed = last[-1].type is EventType.START_REFUSED
    except BaseTimeoutException:
        raise  # the job's own time is up
    except Exception as error:
        state = RunState(run_id, cron=name, slot=slot, attempt=_attempt_by_rq(job, name))
        _disconnect()
        closed = _has_succeeded(job, run_id)
        if closed:
            start = _refused_event(state, actor, Reason.ALREADY_SUCCEEDED)
        else:
            start = _started_event(state, job, actor, attempt=state.attempt)
        _spool(start, job, error)
    reach("after_start")
    run = CurrentRun(cron=name, run_id=state.run_id, slot=slot, attempt=state.attempt)
    return Attempt(run, job, state, clock.monotonic_seconds(), actor, closed)


def elsewhere(job: Job) -> Attempt:
    """The attempt at a job that ran in another process, as far as the job itself tells."""
    name, asked = job.args[0], job.args[1]
    meta = job.meta.get(META_KEY, {})
    run_id = UUID(meta.get("run_id") or asked)
    slot = datetime.fromisoformat(meta["slot"]) if meta.get("slot") else None
    run = CurrentRun(cron=name, run_id=run_id, slot=slot, attempt=0)
    return Attempt(run, job, RunState(run_id, cron=name, slot=slot), None, _actor(job))


def close(
    attempt: Attempt,
    event_type: EventType,
    *,
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """Record how the attempt ended, once. Never raises: the job's own fate must not change."""
    attempt.closed = True
    run = attempt.run
    now = clock.now()
    content = dict(data or {})
    if attempt.began is not None:
        content["duration_seconds"] = round(clock.monotonic_seconds() - attempt.began, 6)

    def build(state: RunState) -> list[Event] | None:
        if state.outcome is not None or (event_type not in OUTCOMES and not state.running):
            return None  # somebody else has the last word already
        return [end_event(_named(state, run.cron, run.slot))]

    def end_event(state: RunState) -> Event:
        return _event(
            state,
            event_type,
            now,
            attempt.actor,
            attempt=state.attempt or run.attempt or None,
            reason=reason,
            data=content,
        )

    was_closed = _is_disconnected()
    reach("before_outcome")
    try:
        with time_limit(conf().worker_wait_seconds):
            known = attempt.state if attempt.state.version else read_run(run.run_id)
            append_to_run(_named(known, run.cron, run.slot), build)
    except Exception as error:
        _disconnect()
        _spool(end_event(attempt.state), attempt.job, error)
    finally:
        # RQ runs some callbacks in the worker's parent process. A connection left open there
        # would be shared by every work-horse that it forks.
        if was_closed:
            _disconnect()
    reach("after_outcome")


# The start guard


def _verdict(state: RunState, job: Job) -> Start:
    alive = False
    if state.running:
        try:
            alive = len(job.get_executions()) > 1  # one of them is this one
        except RedisError:
            alive = True
    return start_verdict(
        state,
        retries_left=job.retries_left or 0,
        other_execution_alive=alive,
        job_created_at=job.created_at.isoformat(),
        job_enqueued_at=_enqueued_at(job),
    )


def _start_events(state: RunState, job: Job, actor: str) -> list[Event]:
    verdict = _verdict(state, job)
    if verdict.refusal is not None:
        return [_refused_event(state, actor, verdict.refusal)]
    if verdict is not Start.BEGIN_AFTER_DEATH:
        return [_started_event(state, job, actor, attempt=state.attempt + 1)]
    dead = _event(
        state,
        EventType.ATTEMPT_FAILED,
        clock.now(),
        actor,
        attempt=state.attempt,
        reason=Reason.WORKER_KILLED,
        data={"retries_left": (job.retries_left or 0) + 1, "found": "started again"},
    )
    return [dead, _started_event(state, job, actor, attempt=state.attempt + 1, after=1)]


def _refused_event(state: RunState, actor: str, refusal: Reason) -> Event:
    log.warning(
        "Start of cron %s refused: %s.",
        state.cron,
        refusal,
        extra={"action": "start_refused", "cron": state.cron, "run_id": str(state.run_id)},
    )
    return _event(state, EventType.START_REFUSED, clock.now(), actor, reason=refusal)


def _started_event(state: RunState, job: Job, actor: str, *, attempt: int, after: int = 0) -> Event:
    return _event(
        state,
        EventType.RUN_STARTED,
        clock.now(),
        actor,
        attempt=attempt,
        data={
            "retries_left": job.retries_left or 0,
            "job_created_at": job.created_at.isoformat(),
            "job_enqueued_at": _enqueued_at(job),
        },
        after=after,
    )


def _new_run(ended: RunState, job: Job, actor: str) -> RunState:
    """Somebody requeued a job whose run has its outcome: what runs now is a run of its own."""
    run_id = uuid4()
    store.append_next(
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


def _enqueued_at(job: Job) -> str:
    return job.enqueued_at.isoformat() if job.enqueued_at else ""


def _attempt_by_rq(job: Job, name: str) -> int:
    """The attempt's number when the log cannot be asked."""
    cron = registry.crons.get(name)
    retries = cron.definition.retries if cron else None
    used = retries.max - (job.retries_left or 0) if retries else 0
    return 1 + used + (job.number_of_retries or 0)


# When the ledger is out of reach


def _write_spooled(job: Job, run_id: UUID) -> None:
    """What an attempt before this one could not write goes first: it may be a success (I4)."""
    try:
        spool.drain_run(job.connection, run_id)
    except RedisError as error:
        log.debug("The spool cannot be read: %s", error)


def _has_succeeded(job: Job, run_id: UUID) -> bool:
    """By the spool, when the log cannot be asked."""
    try:
        return not SUCCESSES.isdisjoint(spool.spooled_types(job.connection, run_id))
    except RedisError:
        return False


def _spool(event: Event, job: Job, why: Exception) -> None:
    log.error(
        "%s of cron %s could not be written to the ledger (%s: %s); it waits in Redis.",
        event.type.value,
        event.cron,
        type(why).__name__,
        str(why).strip(),
        extra={"action": "event_spooled", "cron": event.cron, "run_id": str(event.run_id)},
    )
    reach("before_spool")
    try:
        spool.push(job.connection, event)
        reach("after_spool")
    except Exception as error:  # the job must go on even when both are away
        log.error(
            "%s of cron %s is not recorded: Redis does not take it either (%s).",
            event.type.value,
            event.cron,
            error,
            extra={"action": "event_lost", "cron": event.cron, "run_id": str(event.run_id)},
        )


def _is_disconnected() -> bool:
    try:
        return store.connection().connection is None
    except Exception:  # a wrong setting is reported when the event is written
        return False


def _disconnect() -> None:
    """Close the ledger's connection, unless the caller has a transaction on it."""
    try:
        db = store.connection()
        if not db.in_atomic_block:
            db.close()
    except Exception as error:
        log.debug("Closing the ledger's connection failed: %s", error)


def _actor(job: Job) -> str:
    return f"worker/{job.worker_name or '?'}"


def _named(state: RunState, cron: str, slot: datetime | None) -> RunState:
    state.cron = state.cron or cron
    state.slot = state.slot or slot
    return state


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
