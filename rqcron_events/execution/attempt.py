"""One attempt at a run: whether it may start (I4), and recording its start and its end.

Whatever the ledger does, the job goes on (I9): what cannot be written within a bound goes to the
spool in Redis, and from there into the log later, with its true time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from redis.exceptions import RedisError
from rq.job import Job
from rq.timeouts import BaseTimeoutException

from .. import clock
from ..conf import conf
from ..core.bounded import bounded
from ..core.codec import NewerEvent
from ..core.events import OUTCOMES, SUCCESSES, Event, Reason, make
from ..core.events.make import InRun
from ..core.run_state import RunState, Start, start_verdict
from ..core.wording import clause
from ..errors import LedgerUnavailable, UnreadableEvent
from ..ledger import store
from ..ledger.doors.home import Home, writing_to
from ..ledger.optimistic import append_optimistically
from ..ledger.run_streams import append_to_run, read_run
from ..process.failpoints import reach
from ..process.time_limit import time_limit
from ..registry import registry
from . import ledger_session, spool
from .job_data import META_KEY, asked
from .redis_clock import executions_alive

__all__ = ["Attempt", "CurrentRun", "begin", "close", "elsewhere"]

log = logging.getLogger(__name__)

ACTOR_MAX = 200
"""Characters of the column; RQ's names of workers have no bound."""


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
    blocks: int | None = None
    """Of ``atomic`` around the attempt, on the ledger's connection; None in another process."""
    home: Home = field(default_factory=Home)


def begin(job: Job, name: str, asked_run_id: UUID) -> Attempt:
    """Record the start, or that it is refused (then the attempt is closed)."""
    told = _told_by(job, name, asked_run_id)
    actor = _actor(job)
    home = Home()
    read: list[_Judged] = []
    reach("before_start")
    try:
        with time_limit(conf().worker_wait_seconds), writing_to(home):
            _write_spooled(job, told.run_id)
            state, verdict = _append_start(job, name, asked_run_id, actor, read)
    except BaseTimeoutException:
        raise  # the job's own time is up
    except (UnreadableEvent, NewerEvent) as error:
        state, verdict = _refuse_unreadable(told, actor, error)
    except Exception as error:
        told = _told_by(job, name, asked_run_id)  # again: a new run may have been asked for
        state, verdict = _spool_start(job, told, actor, error, read)
    reach("after_start")
    run = CurrentRun(cron=name, run_id=state.run_id, slot=told.slot, attempt=state.attempt)
    closed = verdict.refusal is not None
    blocks = ledger_session.open_blocks()
    return Attempt(run, job, state, clock.monotonic_seconds(), actor, closed, blocks, home)


def elsewhere(job: Job) -> Attempt:
    """The attempt at a job that ran in another process, as far as the job itself tells."""
    state = _told_by(job, *asked(job))
    run = CurrentRun(cron=state.cron, run_id=state.run_id, slot=state.slot, attempt=0)
    return Attempt(run, job, state, None, _actor(job))


def close(attempt: Attempt, end: Callable[..., Event]) -> None:
    """Record how the attempt ended, once. Never raises: the job's own fate must not change.

    ``end`` makes the event, and knows what only the caller knows, such as
    ``partial(make.run_succeeded, result="7")``.
    """
    attempt.closed = True
    run = attempt.run
    now = clock.now()
    duration = None
    if attempt.began is not None:
        duration = round(clock.monotonic_seconds() - attempt.began, 6)

    def end_event(state: RunState) -> Event:
        return end(
            attempt=state.attempt or run.attempt or None,
            duration_seconds=duration,
            **_place(state, attempt.actor, now),
        )

    def build(state: RunState) -> list[Event]:
        event = end_event(_named(state, run.cron, run.slot))
        if state.outcome is not None or (event.type not in OUTCOMES and not state.running):
            return []  # somebody else has the last word already
        return [event]

    def append() -> None:
        known = attempt.state if attempt.state.version else read_run(run.run_id)
        append_to_run(known, build)

    was_closed = ledger_session.is_disconnected()
    reach("before_outcome")
    try:
        with time_limit(conf().worker_wait_seconds), writing_to(attempt.home):
            ledger_session.append_end(
                append,
                blocks=attempt.blocks,
                home=attempt.home if attempt.began is not None else None,
                cron=run.cron,
            )
    except Exception as error:
        ledger_session.disconnect()
        _spool(end_event(attempt.state), attempt.job, error)
    finally:
        # RQ runs some callbacks in the worker's parent process. A connection left open there
        # would be shared by every work-horse that it forks.
        if was_closed:
            ledger_session.disconnect()
    reach("after_outcome")


# The start: know the run, judge it, append what follows


class _Judged(NamedTuple):
    """A run, and whether this job may start it."""

    state: RunState
    verdict: Start


def _append_start(
    job: Job, name: str, asked_run_id: UUID, actor: str, read: list[_Judged]
) -> _Judged:
    """The start by the log. When another writer is first, the run is read and judged again; ``read``
    gets each judgement, for when nothing can be written."""

    def judge() -> _Judged:
        read.append(_judge(job, name, asked_run_id, actor))
        return read[-1]

    judged, events = append_optimistically(judge, lambda found: _start_events(found, job, actor))
    for event in events:
        judged.state.apply(event)
    return judged


def _judge(job: Job, name: str, asked_run_id: UUID, actor: str) -> _Judged:
    """The run as the log has it; one that somebody requeued after its end becomes a new run."""
    told = _told_by(job, name, asked_run_id)
    state = _named(read_run(told.run_id), name, told.slot)
    verdict = _verdict(state, job)
    if verdict is Start.BEGIN_AGAIN:
        return _Judged(_new_run(state, job, actor), Start.BEGIN)
    return _Judged(state, verdict)


def _verdict(state: RunState, job: Job) -> Start:
    alive = False
    if state.running:
        alive = True
        with suppress(RedisError):
            alive = executions_alive(job) > 1  # one of them is this one
    return start_verdict(
        state,
        retries_left=job.retries_left or 0,
        other_execution_alive=alive,
        job_created_at=job.created_at.isoformat(),
        job_enqueued_at=_enqueued_at(job),
    )


def _start_events(judged: _Judged, job: Job, actor: str) -> list[Event]:
    state, verdict = judged
    if verdict.refusal is not None:
        return [_refused_event(state, actor, verdict.refusal)]
    if verdict is not Start.BEGIN_AFTER_DEATH:
        return [_started_event(state, job, actor, attempt=state.attempt + 1)]
    dead = make.attempt_died(
        attempt=state.attempt,
        retries_left=(job.retries_left or 0) + 1,
        **_place(state, actor, clock.now()),
    )
    return [dead, _started_event(state, job, actor, attempt=state.attempt + 1, after=1)]


def _refused_event(state: RunState, actor: str, refusal: Reason) -> Event:
    log.warning(
        "Start of cron %s refused: %s.",
        state.cron,
        refusal,
        extra={"action": "start_refused", "cron": state.cron, "run_id": str(state.run_id)},
    )
    return make.start_refused(reason=refusal.value, **_place(state, actor, clock.now()))


def _started_event(state: RunState, job: Job, actor: str, *, attempt: int, after: int = 0) -> Event:
    return make.run_started(
        attempt=attempt,
        retries_left=job.retries_left or 0,
        job_created_at=job.created_at.isoformat(),
        job_enqueued_at=_enqueued_at(job),
        **_place(state, actor, clock.now(), after),
    )


def _new_run(ended: RunState, job: Job, actor: str) -> RunState:
    """Somebody requeued a job whose run has its outcome: what runs now is a run of its own.

    From then on the job tells of the new run, here and in the callbacks."""
    run_id, meta = uuid4(), job.meta.get(META_KEY, {})
    requested = make.run_requested(
        cron=ended.cron,
        version=0,
        run_id=run_id,
        slot=ended.slot,
        trigger="requeue",
        of=ended.run_id,
        reason="the job was requeued in RQ",
        args=meta.get("args"),
        kwargs=meta.get("kwargs"),
        actor=actor,
        at=clock.now(),
    )
    store.append_next([requested])
    job.meta[META_KEY] = {**meta, "run_id": str(run_id)}
    job.save_meta()  # type: ignore[no-untyped-call]
    return RunState(run_id, cron=ended.cron, slot=ended.slot)


def _told_by(job: Job, name: str, asked_run_id: UUID) -> RunState:
    """The run as far as the job itself tells."""
    meta = job.meta.get(META_KEY, {})
    run_id = UUID(meta["run_id"]) if meta.get("run_id") else asked_run_id
    slot = datetime.fromisoformat(meta["slot"]) if meta.get("slot") else None
    return RunState(run_id, cron=name, slot=slot)


def _enqueued_at(job: Job) -> str:
    return job.enqueued_at.isoformat() if job.enqueued_at else ""


def _refuse_unreadable(told: RunState, actor: str, why: Exception) -> _Judged:
    """The log answers, and what it says of the run cannot be read: it may have succeeded (I4).

    Raises LedgerUnavailable, which fails the job, when not even that can be recorded.
    """
    refused = _refused_event(told, actor, Reason.UNREADABLE)
    try:
        with time_limit(conf().worker_wait_seconds):
            store.append_next([replace(refused, version=0)])
    except BaseTimeoutException:
        raise
    except Exception as error:
        raise LedgerUnavailable(
            f"Run {told.run_id} of cron {told.cron!r} is not started, because it may have succeeded: "
            f"{clause(why)}. That could not be recorded either: {clause(error)}."
        ) from error
    return _Judged(told, Start.REFUSE_UNREADABLE)


# When the ledger is out of reach


class SuccessWaits(Exception):
    """The run has succeeded, and the ledger cannot be told."""


def _spool_start(
    job: Job, told: RunState, actor: str, why: Exception, read: list[_Judged]
) -> _Judged:
    """The start that cannot be written: what was read of the log still counts (it may be read-only).
    Otherwise RQ tells which attempt it is, the spool whether it succeeded."""
    ledger_session.disconnect()
    told.attempt = _attempt_by_rq(job, told.cron)
    judged = read[-1] if read else _Judged(told, Start.BEGIN)
    if judged.verdict.refusal is None and _has_succeeded(job, told.run_id):
        judged = _Judged(told, Start.REFUSE_SUCCEEDED)
    if judged.verdict.refusal is not None:
        _spool(_refused_event(judged.state, actor, judged.verdict.refusal), job, why)
        return judged
    _spool(_started_event(told, job, actor, attempt=told.attempt), job, why)
    return _Judged(told, Start.BEGIN)


def _attempt_by_rq(job: Job, name: str) -> int:
    """The attempt's number when the log cannot be asked."""
    cron = registry.crons.get(name)
    retries = cron.definition.retries if cron else None
    used = retries.max - (job.retries_left or 0) if retries else 0
    return 1 + used + (job.number_of_retries or 0)


def _write_spooled(job: Job, run_id: UUID) -> None:
    """What an attempt before this one could not write goes first: it may be a success (I4)."""
    try:
        stays = spool.drain_run(job.connection, run_id).stays
    except RedisError as error:
        log.debug("The spool cannot be read: %s", error)
        return
    if stays and _has_succeeded(job, run_id):
        raise SuccessWaits(f"run {run_id} succeeded by an event in Redis that cannot be written")


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
        bounded(str(why).strip(), conf().message_bytes_max),
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
            bounded(str(error), conf().message_bytes_max),
            extra={"action": "event_lost", "cron": event.cron, "run_id": str(event.run_id)},
        )


def _actor(job: Job) -> str:
    return f"worker/{job.worker_name or '?'}"[:ACTOR_MAX]


def _named(state: RunState, cron: str, slot: datetime | None) -> RunState:
    state.cron = state.cron or cron
    state.slot = state.slot or slot
    return state


def _place(state: RunState, actor: str, at: datetime, after: int = 0) -> InRun:
    """The next place in the run's stream, or the one ``after`` so many more."""
    return InRun(
        cron=state.cron,
        run_id=state.run_id,
        version=state.version + 1 + after,
        slot=state.slot,
        actor=actor,
        at=at,
    )
