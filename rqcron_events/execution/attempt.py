"""One attempt at a run: whether it may start (I4), and recording its start and its end.

Whatever the ledger does, the job goes on (I9): what cannot be written within a bound goes to the
spool in Redis, and from there into the log later, with its true time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from rq.job import Job
from rq.timeouts import BaseTimeoutException

from .. import clock
from ..conf import conf
from ..core.codec import NewerEvent
from ..core.events import Event
from ..core.events.trace_ids import traceparent
from ..core.run_state import RunState
from ..errors import UnreadableEvent
from ..ledger import store
from ..ledger.doors.home import Home, writing_to
from ..ledger.run_streams import append_to_run, read_run
from ..process.failpoints import reach
from ..process.time_limit import alarm_again, time_limit
from .job_data import asked
from .ledger_writer.channel import current as current_channel
from .work_horse import ledger_session
from .work_horse.start import (
    Judged,
    actor_of,
    append_start,
    may_be_archived,
    named,
    place,
    refuse_unreadable,
    spool_event,
    spool_start,
    start_at_once,
    take,
    told_by,
    write_spooled,
)

__all__ = ["Attempt", "CurrentRun", "begin", "close", "elsewhere"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRun:
    """The run that is being executed."""

    cron: str
    """Its stored name."""
    run_id: UUID
    slot: datetime | None
    """The instant it was scheduled for, UTC, or None when a person asked for it."""
    attempt: int
    """From 1."""

    @property
    def traceparent(self) -> str:
        """The header of W3C Trace Context for what this attempt calls; empty without RQCRON_TRACES."""
        ratio = conf().trace_ratio
        return "" if ratio is None else traceparent(self.run_id, self.attempt, ratio)


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


@alarm_again(BaseTimeoutException)  # where it is spooled, much catches all
def begin(job: Job, name: str, asked_run_id: UUID) -> Attempt:
    """Record the start, or that it is refused (then the attempt is closed)."""
    told = told_by(job, name, asked_run_id)
    taken = take(job)
    home = Home()
    read: list[Judged] = []
    reach("before_start")
    try:
        with time_limit(conf().worker_wait_seconds), writing_to(home):
            judged = start_at_once(taken, told)
            if judged is None:
                write_spooled(job, told.run_id)
                judged = append_start(taken, name, asked_run_id, read)
            state, verdict = judged
    except BaseTimeoutException:
        raise  # the job's own time is up
    except (UnreadableEvent, NewerEvent) as error:
        state, verdict = refuse_unreadable(told, taken.actor, error)
    except Exception as error:
        told = told_by(job, name, asked_run_id)  # again: a new run may have been asked for
        state, verdict = spool_start(taken, told, error, read)
    reach("after_start")
    run = CurrentRun(cron=name, run_id=state.run_id, slot=told.slot, attempt=state.attempt)
    closed = verdict.refusal is not None
    blocks = ledger_session.open_blocks()
    return Attempt(run, job, state, clock.monotonic_seconds(), taken.actor, closed, blocks, home)


def elsewhere(job: Job) -> Attempt:
    """The attempt at a job that ran in another process, as far as the job itself tells."""
    state = told_by(job, *asked(job))
    run = CurrentRun(cron=state.cron, run_id=state.run_id, slot=state.slot, attempt=0)
    return Attempt(run, job, state, None, actor_of(job))


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

    # By the log: RQ's own count may be another one, and elsewhere nothing is known.
    known_attempt = run.attempt if attempt.state.version else 0

    def end_event(state: RunState) -> Event:
        return end(
            attempt=known_attempt or state.attempt or run.attempt or None,
            duration_seconds=duration,
            **place(state, attempt.actor, now),
        )

    def build(state: RunState) -> list[Event]:
        event = end_event(named(state, run.cron, run.slot))
        return [event] if state.takes(event) else []

    def append() -> None:
        if not attempt.state.version:
            write_spooled(attempt.job, run.run_id)  # the start may wait there, and goes first
        known = attempt.state
        if not known.version:
            known = read_run(run.run_id)
            if may_be_archived(known, attempt.job):
                return  # it has ended, and somebody requeued its job
        append_to_run(known, build)

    reach("before_outcome")
    try:
        with (
            time_limit(conf().worker_wait_seconds),
            ledger_session.no_session_left(),
            writing_to(attempt.home),
        ):
            if not _ask_to_end(attempt, end_event):
                ledger_session.append_end(
                    append,
                    blocks=attempt.blocks,
                    home=attempt.home if attempt.began is not None else None,
                    cron=run.cron,
                )
    except Exception as error:
        ledger_session.disconnect()
        spool_event(end_event(attempt.state), attempt.job, error)
    reach("after_outcome")


def _ask_to_end(attempt: Attempt, end_event: Callable[[RunState], Event]) -> bool:
    """The end by the worker's writer. False: by ourselves."""
    channel = current_channel()
    if channel is None or attempt.began is None or not attempt.state.version:
        return False
    if attempt.blocks is not None and ledger_session.has_open_transaction(attempt.blocks):
        ledger_session.renew()  # it may hold locks that the writer would wait for
    event = end_event(attempt.state)
    version = channel.ask(event)
    if version:
        store.announce([replace(event, version=version)])
    return version is not None
