"""What is known of one run, folded from its stream, and whether it may start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from .events import OUTCOMES, SUCCESSES, Event, EventType, Reason, run_stream
from .events.keys import FOUND, JOB_CREATED_AT, JOB_ENQUEUED_AT, RETRIES_LEFT, SPOOLED

__all__ = [
    "ENDED_STATUSES",
    "STATUS_OF_OUTCOME",
    "OpenRun",
    "RunState",
    "RunStatus",
    "Start",
    "attempt_number",
    "check_run_event",
    "start_verdict",
    "was_withdrawn",
]


class RunStatus(StrEnum):
    """How far a run is, or how it ended."""

    REQUESTED = "requested"
    """Decided or asked for, and not in RQ yet."""
    ENQUEUED = "enqueued"
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt failed, and RQ will make another."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    LOST = "lost"


STATUS_OF_OUTCOME: dict[EventType, RunStatus] = {
    EventType.RUN_SUCCEEDED: RunStatus.SUCCEEDED,
    EventType.RUN_FAILED: RunStatus.FAILED,
    EventType.RUN_STOPPED: RunStatus.STOPPED,
    EventType.RUN_CANCELLED: RunStatus.CANCELLED,
    EventType.RUN_DECLINED: RunStatus.DECLINED,
    EventType.RUN_LOST: RunStatus.LOST,
}
ENDED_STATUSES = frozenset(STATUS_OF_OUTCOME.values())


def check_run_event(event: Event) -> None:
    """Raises ValueError or TypeError for an event of a run of which nothing can be made.

    Whoever folds events of runs asks, so that all set aside the same ones.
    """
    int(event.data.get(RETRIES_LEFT) or 0)
    hash(event.data.get(SPOOLED))


def attempt_number(started: Event, newest: int) -> int:
    """Which attempt a ``run_started`` begins: its own number, or else the one after ``newest``
    (0: none yet). Every writer gives the number; only events made by hand lack it."""
    return started.attempt or newest + 1


def was_withdrawn(outcome: Event) -> bool:
    """Whether a person ended the run by ``cron_cancel``; otherwise RQ's record was found to say so."""
    return outcome.type is EventType.RUN_CANCELLED and FOUND not in outcome.data


CLOCKS_APART_MAX = timedelta(minutes=1)
"""A database whose clock is further ahead of what it recorded was set back."""


class OpenRun(NamedTuple):
    """A run without an outcome yet. It never changes, so threads may share it: what is heard of it
    makes another one."""

    run_id: UUID
    slot: datetime | None
    requested_at: datetime
    trigger: str = "slot"
    """slot, manual, rerun, backfill, requeue or recovered."""
    not_before: datetime | None = None
    """When it is to begin; None: at once."""
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    """Arguments of this run; None: the cron's own."""
    enqueued_at: datetime | None = None
    enqueue_failed: bool = False
    refused: str = ""
    """Why RQ takes no job for it (``refusal_cause``); empty when it does, and in an outage."""
    started_at: datetime | None = None
    worker: str = ""
    attempt: int = 0
    """The newest attempt; 0 before the first start."""
    start_refused: bool = False
    """A second job of the run came while this attempt was running; RQ's status is that job's."""
    last_event_at: datetime | None = None
    recorded_at: datetime | None = None
    """When the last event about it was recorded, by the database's clock; all other times are by the
    clocks of the machines that wrote the events."""
    outcome: str = ""
    """Type of the event that ended it, before anybody decided its slot; otherwise empty."""

    def is_due(self, now: datetime) -> bool:
        """Whether the time has come for which somebody asked for it."""
        return self.not_before is None or self.not_before <= now

    def heard_at(self, now: datetime) -> datetime | None:
        """When something was last heard of it. One that lies in the future of ``now`` is of a
        database whose clock was set back: then those who wrote the events are believed."""
        if self.recorded_at is not None and self.recorded_at <= now + CLOCKS_APART_MAX:
            return self.recorded_at
        return None

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, for the snapshot."""
        data = self._asdict()
        return {**data, "run_id": str(self.run_id)} | {key: _iso(data[key]) for key in _TIMES}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> OpenRun:
        """The inverse of :meth:`to_data`."""
        times = {key: datetime.fromisoformat(data[key]) for key in _TIMES if data[key]}
        return cls(**{**data, "run_id": UUID(data["run_id"]), **times})


_TIMES = (
    "slot",
    "requested_at",
    "not_before",
    "enqueued_at",
    "started_at",
    "last_event_at",
    "recorded_at",
)


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


@dataclass(slots=True)
class RunState:
    """One run. ``apply`` folds an event of its stream in."""

    run_id: UUID
    version: int = 0
    cron: str = ""
    slot: datetime | None = None
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    """Start of the attempt that is running now, or None between attempts."""
    worker: str = ""
    attempt: int = 0
    """The newest attempt, from 1; 0 before the first start."""
    retries_left: int = 0
    """RQ's count when that attempt started."""
    job_created_at: str = ""
    """RQ's creation time of the job that made that attempt: a job created anew has another."""
    job_enqueued_at: str = ""
    """When RQ put that job into its queue: a retry and a person's requeue have another."""
    outcome: EventType | None = None
    ended_at: datetime | None = None
    withdrawn: bool = False
    """A person cancelled it (``cron_cancel``): a job of it that is left in RQ must not start."""
    spooled: set[str] = field(default_factory=set)
    """Ids of the spool entries that are in the log already."""
    starts: set[tuple[str, datetime]] = field(default_factory=set)
    """Worker and time of each start that is in the log: a worker that was not told whether its own is
    there finds it here."""

    @property
    def running(self) -> bool:
        return self.outcome is None and self.started_at is not None

    @property
    def stream(self) -> str:
        return run_stream(self.run_id)

    def takes(self, end: Event) -> bool:
        """Whether this end of its attempt still counts: False when somebody else has the last word
        already, be it the same one said twice, or when a later attempt is at work."""
        if self.outcome is not None or end.type in OUTCOMES:
            return self.outcome is None
        return self.running and end.attempt in (None, self.attempt)

    def apply(self, event: Event) -> None:
        if event.version <= self.version:
            return
        check_run_event(event)
        self.version = event.version
        self.cron = event.cron or self.cron
        self.slot = event.scheduled_for or self.slot
        if SPOOLED in event.data:
            self.spooled.add(event.data[SPOOLED])
        if event.type in OUTCOMES:
            self.outcome = event.type
            self.ended_at = event.occurred_at
            self.started_at = None
            self.withdrawn = was_withdrawn(event)
        elif event.type is EventType.RUN_ENQUEUED:
            self.enqueued_at = event.occurred_at
        elif event.type is EventType.RUN_STARTED:
            self.started_at = event.occurred_at
            self.starts.add((event.actor, event.occurred_at))
            self.worker = event.actor
            self.attempt = attempt_number(event, self.attempt)
            self.retries_left = int(event.data.get(RETRIES_LEFT) or 0)
            self.job_created_at = event.data.get(JOB_CREATED_AT) or ""
            self.job_enqueued_at = event.data.get(JOB_ENQUEUED_AT) or ""
        elif event.type is EventType.ATTEMPT_FAILED:
            self.started_at = None


class Start(StrEnum):
    """What to do when a worker picks a run up."""

    BEGIN = "begin"
    """Start the next attempt."""
    BEGIN_AFTER_DEATH = "begin_after_death"
    """The same, but the attempt before it died without a word: record that first."""
    BEGIN_AGAIN = "begin_again"
    """The run has ended badly and somebody asked RQ to do it again: that is a new run."""
    REFUSE_RUNNING = "refuse_running"
    REFUSE_SUCCEEDED = "refuse_succeeded"
    REFUSE_ENDED = "refuse_ended"
    REFUSE_UNREADABLE = "refuse_unreadable"
    """An event of the run cannot be read, so nobody knows whether it has succeeded."""
    REFUSE_ARCHIVED = "refuse_archived"
    """Its events are in the archive, where no open run goes: it has ended, however."""

    @property
    def refusal(self) -> Reason | None:
        if self is Start.REFUSE_RUNNING:
            return Reason.ALREADY_RUNNING
        if self is Start.REFUSE_SUCCEEDED:
            return Reason.ALREADY_SUCCEEDED
        if self is Start.REFUSE_ENDED:
            return Reason.ALREADY_ENDED
        if self is Start.REFUSE_UNREADABLE:
            return Reason.UNREADABLE
        if self is Start.REFUSE_ARCHIVED:
            return Reason.ARCHIVED
        return None


def start_verdict(
    state: RunState,
    *,
    retries_left: int,
    other_execution_alive: bool,
    job_created_at: str,
    job_enqueued_at: str = "",
) -> Start:
    """Whether a run may start (I4).

    ``retries_left`` is RQ's count now: RQ lowers it when it retries a job whose work-horse died,
    and calls nobody. ``other_execution_alive``: RQ knows of another execution of the same job.
    ``job_created_at`` tells a person's requeue, which keeps the job, from a late runner that
    enqueued the run once more. ``job_enqueued_at`` tells both from one entry that is in the queue
    twice: redis-py sends a transaction again when the connection breaks before the answer.
    """
    same_job = state.job_created_at in ("", job_created_at)
    delivered_twice = bool(job_enqueued_at) and state.job_enqueued_at == job_enqueued_at
    if state.outcome in SUCCESSES:
        return Start.REFUSE_SUCCEEDED
    if state.withdrawn:
        return Start.REFUSE_ENDED  # its job was in RQ already, or came there late
    if state.outcome is not None:
        again = same_job and not delivered_twice
        return Start.BEGIN_AGAIN if again else Start.REFUSE_ENDED
    if not state.running:
        return Start.BEGIN
    if not same_job or delivered_twice:
        # Nobody asked for another attempt, and RQ may know nothing any more of the one that runs.
        return Start.REFUSE_RUNNING
    if retries_left < state.retries_left or not other_execution_alive:
        return Start.BEGIN_AFTER_DEATH
    return Start.REFUSE_RUNNING
