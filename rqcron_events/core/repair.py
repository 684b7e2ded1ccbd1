"""What an open run needs, given what RQ says about its job. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .cron_state import OpenRun
from .definition import Definition

__all__ = ["JobFacts", "Patience", "Repair", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job as RQ has it; ``status`` is empty when there is no such job."""

    status: str = ""
    """queued, started, finished, failed, stopped, canceled, deferred, scheduled, ready."""
    worker: str = ""
    retries_left: int = 0
    executions: int = 0
    """Executions whose worker still sends heartbeats."""
    alive: int = 0
    """Those of them that were heard of within RQ's ninety seconds."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    """By the clock of the worker's machine, and so is ``started_at``: for the record only."""
    ended_for: timedelta | None = None
    """How long ago the last attempt ended, by Redis' clock alone."""
    result_type: str = ""
    """SUCCESSFUL, FAILED, STOPPED, RETRIED, MAX_RETRIES_EXCEEDED, or empty."""
    error: str = ""
    """RQ's traceback of the last failure."""
    unreadable: str = ""
    """Why nothing is known of the job, or empty."""
    deleted: bool = False
    """It was there, and Redis has lost nothing since: somebody deleted it."""


class Repair(StrEnum):
    """What to do about an open run."""

    NONE = "none"
    """It is on its way; look again later."""
    ENQUEUE = "enqueue"
    """No job exists and it never started: enqueue the same id."""
    RECORD_ENQUEUED = "record_enqueued"
    """The job exists, only the record is missing."""
    EXPIRE = "expire"
    """RQ dropped the job because its ``ttl`` had passed."""
    RECORD_DEAD_ATTEMPT = "record_dead_attempt"
    """The work-horse died and RQ tries again."""
    RECORD_SUCCESS = "record_success"
    RECORD_FAILURE = "record_failure"
    RECORD_STOPPED = "record_stopped"
    RECORD_CANCELLED = "record_cancelled"
    RECORD_DELETED = "record_deleted"
    """Somebody emptied the queue, or deleted the job, before a worker began it."""
    LOSE = "lose"
    """It started, and nothing is left that could tell how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each kind of silence may last before it is repaired."""

    callback: timedelta = timedelta(seconds=5)
    """A worker appends an outcome around the moment when RQ sets the job's status."""
    taken: timedelta = timedelta(seconds=20)
    """Between a worker's taking of a job and its start."""
    lost: timedelta = timedelta(seconds=60)
    """A started run without a job: beyond its timeout, this long."""
    default_timeout: timedelta = timedelta(seconds=180)
    """RQ's, for crons and queues that name none."""


_FINAL = {
    "finished": Repair.RECORD_SUCCESS,
    "failed": Repair.RECORD_FAILURE,
    "stopped": Repair.RECORD_STOPPED,
    "canceled": Repair.RECORD_CANCELLED,
}


def judge(
    run: OpenRun, definition: Definition, job: JobFacts, now: datetime, patience: Patience
) -> Repair:
    """The repair for one open run, by the log's and RQ's word; ``now`` is the database's time."""
    if job.unreadable or (not job.status and not run.is_due(now)):
        return Repair.NONE
    if run.started_at is None and run.attempt == 0:
        return _never_started(run, definition, job, now, patience)
    since = run.heard_at(now) or run.started_at or run.last_event_at or run.requested_at
    if now - since < patience.callback:
        return Repair.NONE
    if job.status == "finished" and run.start_refused:
        # What finished is the start that was refused; the attempt itself may be at work.
        return _vanished_after_start(run, definition, job, since, now, patience)
    if job.status in _FINAL:
        if _is_recent_or_alive(job, patience):
            return Repair.NONE
        return _FINAL[job.status]
    if not job.status or (job.status == "started" and not job.executions):
        return _vanished_after_start(run, definition, job, since, now, patience)
    if run.started_at is not None and job.status in ("queued", "scheduled"):
        return Repair.RECORD_DEAD_ATTEMPT
    return Repair.NONE  # being executed, or waiting for its next attempt


def _is_recent_or_alive(job: JobFacts, patience: Patience) -> bool:
    """The worker may still be about to say it. A job that failed while an execution sends heartbeats
    was given up by somebody whose clock is ahead: its function is at work."""
    if job.status == "failed" and job.alive:
        return True
    return job.ended_for is not None and job.ended_for < patience.callback


def _never_started(
    run: OpenRun, definition: Definition, job: JobFacts, now: datetime, patience: Patience
) -> Repair:
    since = run.heard_at(now) or run.enqueued_at or run.requested_at
    if now - since < patience.callback:
        return Repair.NONE
    if job.status in _FINAL:
        if _is_recent_or_alive(job, patience):
            return Repair.NONE
        return _FINAL[job.status]  # it ran although its start could not be recorded
    if job.status == "started" and not job.executions:
        # RQ gives up executions that it knows of. It knows none here: Redis was emptied between
        # the taking of the job and its start.
        return _vanished_after_start(run, definition, job, since, now, patience)
    if job.status:
        return Repair.RECORD_ENQUEUED if run.enqueued_at is None else Repair.NONE
    ttl = definition.options.get("ttl")
    if run.enqueued_at is not None and ttl and now - since >= timedelta(seconds=ttl):
        return Repair.EXPIRE
    return Repair.RECORD_DELETED if job.deleted else Repair.ENQUEUE


def _vanished_after_start(
    run: OpenRun,
    definition: Definition,
    job: JobFacts,
    since: datetime,
    now: datetime,
    patience: Patience,
) -> Repair:
    """The function may still be at work: Redis can be emptied below a running job."""
    if job.started_at is not None and job.started_at <= now:
        since = max(since, job.started_at)
    seconds = definition.options.get("timeout")
    if run.started_at is None and run.attempt and job.deleted:
        return Repair.RECORD_DELETED  # while it waited for its next attempt
    if run.started_at is None and run.attempt and not job.status:
        allowed = patience.callback  # between two attempts, with no job left to make the next
    elif seconds is None or seconds < 0:
        allowed = patience.default_timeout + patience.lost
    else:
        allowed = timedelta(seconds=seconds) + patience.lost
    return Repair.LOSE if now - since >= allowed else Repair.NONE
