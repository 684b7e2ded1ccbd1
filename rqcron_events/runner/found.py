"""What a look at an open run finds, and the events that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import uuid4

from .. import clock
from ..conf import conf
from ..core.bounded import TYPE_BYTES_MAX, bounded
from ..core.cron_state import CronState, OpenRun
from ..core.definition import Definition
from ..core.events import Event, Reason, make
from ..core.events.keys import ERROR_MESSAGE, ERROR_TRACEBACK, ERROR_TYPE
from ..core.events.make import FoundEnd
from ..core.repair import JobFacts, Repair
from ..core.run_state import RunState
from ..execution.run_request import RunRequest
from ..ledger.run_streams import read_runs

__all__ = ["Finding", "end_event", "never_begun", "not_at_work", "one_in_each_queue", "rerun_event"]


class Finding(NamedTuple):
    """One open run that needs a repair."""

    run: OpenRun
    definition: Definition
    job: JobFacts
    repair: Repair

    @property
    def found(self) -> str:
        return f"RQ says {self.job.status}" if self.job.status else "RQ has no such job"


def end_event(finding: Finding, state: RunState, actor: str) -> Event:
    job, found = finding.job, finding.found
    end = FoundEnd(
        cron=finding.definition.name,
        run_id=finding.run.run_id,
        version=state.version + 1,
        slot=finding.run.slot,
        attempt=finding.run.attempt or None,
        reason=_reason(finding),
        duration_seconds=_duration_seconds(job),
        worker=job.worker,
        actor=actor,
        at=job.ended_at or clock.now(),
    )
    match finding.repair:
        case Repair.RECORD_SUCCESS:
            return make.run_succeeded(found=found, **end)
        case Repair.RECORD_FAILURE:
            error = _error(job.error) if job.error else None
            return make.run_failed(found=found, error=error, **end)
        case Repair.RECORD_DEAD_ATTEMPT:
            return make.attempt_failed(found=found, retries_left=job.retries_left + 1, **end)
        case Repair.RECORD_STOPPED:
            return make.run_stopped(found=found, **end)
        case Repair.RECORD_CANCELLED | Repair.RECORD_DELETED | Repair.EXPIRE:
            return make.run_cancelled(found=found, **end)
        case Repair.LOSE:
            return make.run_lost(found=found, **end)
        case Repair.NONE | Repair.ENQUEUE | Repair.RECORD_ENQUEUED:
            raise AssertionError(f"{finding.repair!r} ends no attempt")


def rerun_event(lost: Finding, version: int, actor: str) -> Event:
    """A new run for the slot of one that was lost, where the cron allows that."""
    return make.run_requested(
        cron=lost.definition.name,
        version=version,
        run_id=uuid4(),
        slot=lost.run.slot,
        trigger="rerun",
        of=lost.run.run_id,
        args=lost.run.args,
        kwargs=lost.run.kwargs,
        reason="the run before was lost, and the cron is idempotent",
        actor=actor,
        at=clock.now(),
    )


def one_in_each_queue(crons: Iterable[CronState]) -> list[RunRequest]:
    """An open run of each queue that has any, by the queue's name."""
    found: dict[str, RunRequest] = {}
    for state in crons:
        definition = state.last_definition
        if definition is not None and definition.queue not in found and state.open_runs:
            run = next(iter(state.open_runs.values()))
            found[definition.queue] = RunRequest.of(run, definition)
    return [found[name] for name in sorted(found)]


def never_begun(requests: list[RunRequest], *, not_enqueued: bool = False) -> list[RunRequest]:
    """Those of which the log, read now, knows no start and no end, and no job with ``not_enqueued``.

    What somebody remembers may be old, and Redis may be older: both are asked before a job is made.
    """
    return _by_log(
        requests,
        lambda run: not run.attempt and not (not_enqueued and run.enqueued_at is not None),
    )


def not_at_work(requests: list[RunRequest]) -> list[RunRequest]:
    """Those that wait for their first attempt, or for the next, by the log, read now."""
    return _by_log(requests, lambda run: not run.running)


def _by_log(requests: list[RunRequest], wanted: Callable[[RunState], bool]) -> list[RunRequest]:
    """Those without an end, whose events can be read."""
    known = read_runs([request.run_id for request in requests]) if requests else {}
    found = [(request, known.get(request.run_id)) for request in requests]
    return [
        request
        for request, state in found
        if state is not None and state.outcome is None and wanted(state)
    ]


def _duration_seconds(job: JobFacts) -> float | None:
    if job.started_at is None or job.ended_at is None:
        return None
    return round((job.ended_at - job.started_at).total_seconds(), 6)


def _reason(finding: Finding) -> str:
    match finding.repair:
        case Repair.RECORD_DEAD_ATTEMPT:
            return Reason.WORKER_KILLED
        case Repair.RECORD_FAILURE:
            killed = "Work-horse terminated" in finding.job.error
            abandoned = "AbandonedJobError" in finding.job.error
            if killed or abandoned:
                return Reason.WORKER_KILLED
            if finding.job.result_type == "MAX_RETRIES_EXCEEDED":
                return Reason.RETRY_RETURNED
            return (
                Reason.TIMEOUT if "JobTimeoutException" in finding.job.error else Reason.EXCEPTION
            )
        case Repair.RECORD_DELETED:
            return "its job was deleted in RQ while it waited"
        case Repair.EXPIRE:
            return "its ttl passed before a worker took it"
        case Repair.LOSE:
            return "it started, and no trace of it is left in RQ"
        case _:
            return ""


def _error(text: str) -> dict[str, str]:
    """RQ keeps the formatted traceback; its last line names type and message."""
    last = text.strip().rpartition("\n")[2]
    name, separator, message = last.partition(": ")
    if not separator or " " in name:
        name, message = "", last
    return {
        ERROR_TYPE: bounded(name, TYPE_BYTES_MAX),
        ERROR_MESSAGE: bounded(message, conf().message_bytes_max),
        ERROR_TRACEBACK: bounded(text, conf().traceback_bytes_max, keep_end=True),
    }
