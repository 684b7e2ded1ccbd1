"""The start of an attempt: know the run, judge it (I4), and record what follows.

What needs no judgement is left to the worker's writer, where there is one. Whatever the ledger does, the
job goes on (I9): what cannot be written within a bound goes to the spool in Redis, and from there into the
log later, with its true time.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError
from rq.job import Job
from rq.timeouts import BaseTimeoutException

from ... import clock
from ...conf import conf
from ...core.bounded import bounded
from ...core.events import SUCCESSES, Event, Reason, make
from ...core.events.make import InRun
from ...core.run_state import RunState, Start, start_verdict
from ...core.wording import clause
from ...errors import CronError, LedgerUnavailable
from ...ledger import store
from ...ledger.optimistic import append_optimistically
from ...ledger.run_streams import is_archived, read_run
from ...process.failpoints import reach
from ...process.time_limit import time_limit
from ...registry import registry
from .. import spool
from ..job_data import META_KEY, told_name
from ..ledger_writer.channel import current as current_channel
from ..redis_clock import executions_alive
from ..run_request import JOB_ID_PREFIX
from . import ledger_session

__all__ = [
    "Judged",
    "Taken",
    "actor_of",
    "append_start",
    "first_start",
    "may_be_archived",
    "named",
    "place",
    "refuse_unreadable",
    "spool_event",
    "spool_start",
    "start_at_once",
    "take",
    "told_by",
    "write_spooled",
]

log = logging.getLogger(__name__)

ACTOR_MAX = 200
"""Characters of the column; RQ's names of workers have no bound."""


class Judged(NamedTuple):
    """A run, and whether this job may start it."""

    state: RunState
    verdict: Start


class Taken(NamedTuple):
    """A job, as this worker took it up."""

    job: Job
    actor: str
    at: datetime
    """Its start is told with this time wherever it is told, so that it is known again."""


def start_at_once(taken: Taken, told: RunState) -> Judged | None:
    """The start in one statement, by the worker's writer where there is one: most runs have nothing behind them
    that would have to be judged. None: they have, or it was not written."""
    channel = current_channel()
    event = _started_event(told, taken, attempt=1)
    version = channel.ask(event) if channel is not None else _append_first_start(event, taken.job)
    if version is None:
        return None
    event = replace(event, version=version)
    store.announce([event])
    told.apply(event)
    return Judged(told, Start.BEGIN)


def _append_first_start(event: Event, job: Job) -> int | None:
    """By ourselves. None also when the database fails: whoever judges the run finds out more."""
    assert event.run_id is not None
    try:
        db = store.connection()
        if db.in_atomic_block or not db.get_autocommit():
            return None  # of the caller; an error would end its transaction
        return (
            store.append_first_start(event)
            if spool.is_empty(job.connection, event.run_id)
            else None
        )
    except (RedisError, DatabaseError, InterfaceError, CronError) as error:
        log.debug("Not started at once: %s", error, extra={"action": "not_started_at_once"})
        return None


def first_start(job: Job, worker: str) -> Event | None:
    """What ``start_at_once`` will ask for in a work-horse of this worker, as far as can be said before it is
    forked: None where there is more to a job than to begin with it. Never raises.

    Nothing of the job is unpickled here beyond its meta, which RQ has read by now.
    """
    try:
        told = job.meta[META_KEY]
        name, _, what = (job.description or "").rpartition(" for ")
        run_id = UUID(job.id.removeprefix(JOB_ID_PREFIX))
        is_of_cron = registry.crons[name].definition.function == told["function"]
        if not is_of_cron or what != (told["slot"] or told["trigger"]):
            return None
        taken = Taken(job, _actor(worker), clock.now())
        return _started_event(told_by(job, name, run_id), taken, attempt=1)
    except Exception as error:  # somebody else's job, or a cron that this code does not know
        log.debug(
            "Job %s is not begun before its work-horse is: %s",
            job.id,
            error,
            extra={"action": "not_asked_ahead"},
        )
        return None


def take(job: Job) -> Taken:
    """In the work-horse, before anything is asked or written."""
    channel = current_channel()
    ahead = channel.ahead if channel is not None else None
    return Taken(job, actor_of(job), clock.now() if ahead is None else ahead.occurred_at)


def append_start(taken: Taken, name: str, asked_run_id: UUID, read: list[Judged]) -> Judged:
    """The start by the log. When another writer is first, the run is read and judged again; ``read``
    gets each judgement, for when nothing can be written."""

    def judge() -> Judged:
        read.append(_judge(taken, name, asked_run_id))
        return read[-1]

    judged, events = append_optimistically(judge, lambda found: _start_events(found, taken))
    for event in events:
        judged.state.apply(event)
    return judged


def _judge(taken: Taken, name: str, asked_run_id: UUID) -> Judged:
    """The run as the log has it; one that somebody requeued after its end becomes a new run."""
    told = told_by(taken.job, name, asked_run_id)
    state = named(read_run(told.run_id), name, told.slot)
    if state.running and (taken.actor, taken.at) in state.starts:
        return Judged(state, Start.BEGIN)  # the writer's, later than we waited
    if may_be_archived(state, taken.job):
        return Judged(state, Start.REFUSE_ARCHIVED)
    verdict = _verdict(state, taken.job)
    if verdict is Start.BEGIN_AGAIN:
        return Judged(_new_run(state, taken), Start.BEGIN)
    return Judged(state, verdict)


def may_be_archived(state: RunState, job: Job) -> bool:
    """Whether the log knows nothing of the run's life, and an archive may have taken it."""
    if state.enqueued_at or state.starts or state.outcome:
        return False
    created_at = job.created_at
    if created_at.tzinfo is None:
        created_at = created_at.replace(tzinfo=UTC)
    return is_archived(state.run_id, created_at)


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


def _start_events(judged: Judged, taken: Taken) -> list[Event]:
    state, verdict = judged
    if verdict.refusal is not None:
        return [_refused_event(state, taken.actor, verdict.refusal)]
    if verdict is Start.BEGIN and state.running:
        return []  # its own start is there
    if verdict is not Start.BEGIN_AFTER_DEATH:
        return [_started_event(state, taken, attempt=state.attempt + 1)]
    dead = make.attempt_died(
        attempt=state.attempt,
        retries_left=(taken.job.retries_left or 0) + 1,
        **place(state, taken.actor, taken.at),
    )
    return [dead, _started_event(state, taken, attempt=state.attempt + 1, after=1)]


def _refused_event(state: RunState, actor: str, refusal: Reason) -> Event:
    log.warning(
        "Start of cron %s refused: %s.",
        state.cron,
        refusal,
        extra={"action": "start_refused", "cron": state.cron, "run_id": str(state.run_id)},
    )
    return make.start_refused(reason=refusal.value, **place(state, actor, clock.now()))


def _started_event(state: RunState, taken: Taken, *, attempt: int, after: int = 0) -> Event:
    return make.run_started(
        attempt=attempt,
        retries_left=taken.job.retries_left or 0,
        job_created_at=taken.job.created_at.isoformat(),
        job_enqueued_at=_enqueued_at(taken.job),
        **place(state, taken.actor, taken.at, after),
    )


def _new_run(ended: RunState, taken: Taken) -> RunState:
    """Somebody requeued a job whose run has its outcome: what runs now is a run of its own.

    From then on the job tells of the new run, here and in the callbacks."""
    job = taken.job
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
        actor=taken.actor,
        at=taken.at,
    )
    store.append_next([requested])
    job.meta[META_KEY] = {**meta, "run_id": str(run_id)}
    job.save_meta()  # type: ignore[no-untyped-call]
    return RunState(run_id, cron=ended.cron, slot=ended.slot)


def told_by(job: Job, name: str, asked_run_id: UUID) -> RunState:
    """The run as far as the job itself tells."""
    meta = job.meta.get(META_KEY, {})
    run_id = UUID(meta["run_id"]) if meta.get("run_id") else asked_run_id
    slot = datetime.fromisoformat(meta["slot"]) if meta.get("slot") else None
    return RunState(run_id, cron=name, slot=slot)


def _enqueued_at(job: Job) -> str:
    return job.enqueued_at.isoformat() if job.enqueued_at else ""


def refuse_unreadable(told: RunState, actor: str, why: Exception) -> Judged:
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
    return Judged(told, Start.REFUSE_UNREADABLE)


# When the ledger is out of reach


class SuccessWaits(Exception):
    """The run has succeeded, and the ledger cannot be told."""


def spool_start(taken: Taken, told: RunState, why: Exception, read: list[Judged]) -> Judged:
    """The start that cannot be written: what was read of the log still counts (it may be read-only).
    Otherwise RQ tells which attempt it is, the spool whether it succeeded."""
    job, actor = taken.job, taken.actor
    ledger_session.disconnect()
    told.attempt = _attempt_by_rq(job, told.cron)
    judged = read[-1] if read else Judged(told, Start.BEGIN)
    if judged.verdict.refusal is None and _has_succeeded(job, told.run_id):
        judged = Judged(told, Start.REFUSE_SUCCEEDED)
    if judged.verdict.refusal is not None:
        spool_event(_refused_event(judged.state, actor, judged.verdict.refusal), job, why)
        return judged
    spool_event(_started_event(told, taken, attempt=told.attempt), job, why)
    return Judged(told, Start.BEGIN)


def _attempt_by_rq(job: Job, name: str) -> int:
    """The attempt's number when the log cannot be asked."""
    cron = registry.find(name, told_name(job))
    retries = cron.definition.retries if cron else None
    used = retries.max - (job.retries_left or 0) if retries else 0
    return 1 + used + (job.number_of_retries or 0)


def write_spooled(job: Job, run_id: UUID) -> None:
    """What an attempt before this one could not write goes first: it may be a success (I4)."""
    try:
        stays = spool.drain_run(job.connection, run_id).stays
    except RedisError as error:
        log.debug("The spool cannot be read: %s", error, extra={"action": "spool_not_read"})
        return
    if stays and _has_succeeded(job, run_id):
        raise SuccessWaits(f"run {run_id} succeeded by an event in Redis that cannot be written")


def _has_succeeded(job: Job, run_id: UUID) -> bool:
    """By the spool, when the log cannot be asked."""
    try:
        return not SUCCESSES.isdisjoint(spool.spooled_types(job.connection, run_id))
    except RedisError:
        return False


def spool_event(event: Event, job: Job, why: Exception) -> None:
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


def actor_of(job: Job) -> str:
    return _actor(job.worker_name or "?")


def _actor(worker: str) -> str:
    return f"worker/{worker}"[:ACTOR_MAX]


def named(state: RunState, cron: str, slot: datetime | None) -> RunState:
    state.cron = state.cron or cron
    state.slot = state.slot or slot
    return state


def place(state: RunState, actor: str, at: datetime, after: int = 0) -> InRun:
    """The next place in the run's stream, or the one ``after`` so many more."""
    return InRun(
        cron=state.cron,
        run_id=state.run_id,
        version=state.version + 1 + after,
        slot=state.slot,
        actor=actor,
        at=at,
    )
