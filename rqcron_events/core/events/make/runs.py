"""Events in the stream of a run: from the queue to the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

from .. import keys
from ..event import Event, run_stream
from ..types import EventType, Reason


class InRun(TypedDict):
    """What every event in a run's stream has. ``slot`` is None when a person asked for the run."""

    cron: str
    run_id: UUID
    version: int
    slot: datetime | None
    actor: str
    at: datetime


class AttemptEnd(InRun):
    """How an attempt, and maybe its run, ended."""

    attempt: int | None
    reason: NotRequired[str]
    duration_seconds: NotRequired[float | None]


class FoundEnd(AttemptEnd):
    """The same, where it may have been found out later, by the reconciler in RQ's records."""

    worker: NotRequired[str]


def run_enqueued(*, queue: str, job_id: str, found: str = "", **place: Unpack[InRun]) -> Event:
    """The job is in Redis. ``found``: why it was put there, or noted, later."""
    data = {keys.QUEUE: queue, keys.JOB_ID: job_id}
    if found:
        data[keys.FOUND] = found
    return _in_run(EventType.RUN_ENQUEUED, data, **place)


def enqueue_failed(
    *,
    queue: str,
    error_type: str,
    error_message: str,
    reason: str = "",
    **place: Unpack[InRun],
) -> Event:
    """Redis did not take the job; the run stays open. ``reason``: ``refused`` when the error is
    about this run alone, and empty in an outage."""
    error = {keys.ERROR_TYPE: error_type, keys.ERROR_MESSAGE: error_message}
    data = {keys.QUEUE: queue, keys.ERROR: error}
    return _in_run(EventType.ENQUEUE_FAILED, data, reason=reason, **place)


def run_started(
    *,
    attempt: int,
    retries_left: int,
    job_created_at: str,
    job_enqueued_at: str,
    **place: Unpack[InRun],
) -> Event:
    """A worker begins an attempt. Times as ISO 8601, empty when RQ does not say."""
    data = {
        keys.RETRIES_LEFT: retries_left,
        keys.JOB_CREATED_AT: job_created_at,
        keys.JOB_ENQUEUED_AT: job_enqueued_at,
    }
    return _in_run(EventType.RUN_STARTED, data, attempt=attempt, **place)


def attempt_failed(
    *,
    retries_left: int,
    error: Mapping[str, str] | None = None,
    found: str | None = None,
    **end: Unpack[FoundEnd],
) -> Event:
    """An attempt ended badly, and RQ tries again."""
    told = {keys.ERROR: error, keys.RETRIES_LEFT: retries_left}
    return _ended(EventType.ATTEMPT_FAILED, told, found, **end)


def attempt_died(*, attempt: int, retries_left: int, **place: Unpack[InRun]) -> Event:
    """``attempt_failed``, written by the next attempt: the worker before it died without a word."""
    data = {keys.RETRIES_LEFT: retries_left, keys.FOUND: "started again"}
    reason = Reason.WORKER_KILLED.value
    return _in_run(EventType.ATTEMPT_FAILED, data, attempt=attempt, reason=reason, **place)


def run_succeeded(
    *, result: str | None = None, found: str | None = None, **end: Unpack[FoundEnd]
) -> Event:
    """The function returned."""
    return _ended(EventType.RUN_SUCCEEDED, {keys.RESULT: result}, found, **end)


def run_failed(
    *,
    error: Mapping[str, str] | None = None,
    retries_left: int | None = None,
    found: str | None = None,
    **end: Unpack[FoundEnd],
) -> Event:
    """The last attempt ended badly."""
    told = {keys.ERROR: error, keys.RETRIES_LEFT: retries_left}
    return _ended(EventType.RUN_FAILED, told, found, **end)


def run_stopped(*, found: str | None = None, **end: Unpack[FoundEnd]) -> Event:
    """Somebody told RQ to stop the job."""
    return _ended(EventType.RUN_STOPPED, {}, found, **end)


def run_cancelled(*, found: str | None = None, **end: Unpack[FoundEnd]) -> Event:
    """A person cancelled the run while it waited. With ``found``: its job was cancelled or deleted in
    RQ, or its ttl passed."""
    return _ended(EventType.RUN_CANCELLED, {}, found, **end)


def run_declined(**end: Unpack[AttemptEnd]) -> Event:
    """The function raised DeclineRun: there was nothing to do."""
    return _ended(EventType.RUN_DECLINED, {}, None, **end)


def run_lost(*, found: str, **end: Unpack[FoundEnd]) -> Event:
    """It started, and RQ does not know how it ended."""
    return _ended(EventType.RUN_LOST, {}, found, **end)


def start_refused(*, reason: str, **place: Unpack[InRun]) -> Event:
    """A worker had the job of a run that must not start (I4)."""
    return _in_run(EventType.START_REFUSED, {}, reason=reason, **place)


def spooled(
    event_type: EventType,
    data: Mapping[str, Any],
    *,
    entry_id: str,
    attempt: int | None,
    reason: str,
    **place: Unpack[InRun],
) -> Event:
    """An event that waited in Redis: as its writer made it, and the id of its entry there."""
    content = {**data, keys.SPOOLED: entry_id}
    return _in_run(event_type, content, attempt=attempt, reason=reason, **place)


def _ended(
    event_type: EventType,
    told: Mapping[str, Any],
    found: str | None,
    *,
    attempt: int | None,
    reason: str = "",
    duration_seconds: float | None = None,
    worker: str = "",
    **place: Unpack[InRun],
) -> Event:
    """A worker tells how it ended and then for how long it ran; a finder begins with the finding."""
    source = {keys.FOUND: found, keys.WORKER: worker or None}
    measured = {keys.DURATION_SECONDS: duration_seconds}
    content = {**source, **measured, **told} if found else {**told, **source, **measured}
    data = {key: value for key, value in content.items() if value is not None}
    return _in_run(event_type, data, attempt=attempt, reason=reason, **place)


def _in_run(
    event_type: EventType,
    data: dict[str, Any],
    *,
    cron: str,
    run_id: UUID,
    version: int,
    slot: datetime | None,
    actor: str,
    at: datetime,
    attempt: int | None = None,
    reason: str = "",
) -> Event:
    return Event(
        stream=run_stream(run_id),
        version=version,
        type=event_type,
        cron=cron,
        run_id=run_id,
        attempt=attempt,
        scheduled_for=slot,
        reason=reason,
        actor=actor,
        occurred_at=at,
        data=data,
    )
