"""Events in the streams of runners and in the ledger's own.

Nobody decides on what is in them, so their versions are left to ``append_next``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .. import keys
from ..event import LEDGER_STREAM, Event, runner_stream
from ..types import EventType

LOG_FORMAT = 3
"""Raise it with a new event type or schema version: an event that this release does not know is one
of a newer release only if some runner announced a higher number."""


def runner_started(
    *,
    runner_id: str,
    host: str,
    pid: int,
    crons: int,
    registry: str,
    tzdata: str,
    croniter: str,
    schedule_reading: int,
    actor: str,
    at: datetime,
    database_skew_seconds: float | None = None,
    once: str = "",
) -> Event:
    """A runner sends its first heartbeat, or the first since it was taken for lost. ``tzdata``,
    ``croniter`` and ``schedule_reading`` are the versions by which its slots are found; ``once`` is
    the command of one that does what is due and ends."""
    data: dict[str, Any] = {
        keys.HOST: host,
        keys.PID: pid,
        keys.CRONS: crons,
        keys.REGISTRY: registry,
        keys.FORMAT: LOG_FORMAT,
        keys.TZDATA: tzdata,
        keys.CRONITER: croniter,
        keys.SCHEDULE_READING: schedule_reading,
    }
    if database_skew_seconds is not None:
        data[keys.DATABASE_SKEW_SECONDS] = database_skew_seconds
    if once:
        data[keys.ONCE] = once
    return _unnumbered(EventType.RUNNER_STARTED, runner_stream(runner_id), data, actor, at)


def runner_stopped(*, runner_id: str, actor: str, at: datetime) -> Event:
    """A runner ends in good order."""
    return _unnumbered(EventType.RUNNER_STOPPED, runner_stream(runner_id), {}, actor, at)


def runner_lost(*, runner_id: str, last_heartbeat: datetime, actor: str, at: datetime) -> Event:
    """Another runner noticed that this one fell silent."""
    data = {keys.LAST_HEARTBEAT: last_heartbeat.isoformat()}
    return _unnumbered(EventType.RUNNER_LOST, runner_stream(runner_id), data, actor, at)


def clock_skewed(
    *,
    runner_id: str,
    database_skew_seconds: float,
    skew_seconds_max: float,
    actor: str,
    at: datetime,
) -> Event:
    """The runner's clock differs too much from the database's: it decides nothing from now on.
    ``at`` is the database's time."""
    data = {
        keys.DATABASE_SKEW_SECONDS: database_skew_seconds,
        keys.SKEW_SECONDS_MAX: skew_seconds_max,
    }
    return _unnumbered(EventType.CLOCK_SKEWED, runner_stream(runner_id), data, actor, at)


def clock_agrees(
    *,
    runner_id: str,
    database_skew_seconds: float,
    since: datetime,
    actor: str,
    at: datetime,
) -> Event:
    """The clock is right again, and the runner may lead; ``since`` is when it stopped deciding."""
    data = {
        keys.DATABASE_SKEW_SECONDS: database_skew_seconds,
        keys.SKEWED_SINCE: since.isoformat(),
    }
    return _unnumbered(EventType.CLOCK_AGREES, runner_stream(runner_id), data, actor, at)


def all_paused(*, until: datetime | None, reason: str, actor: str, at: datetime) -> Event:
    """Somebody paused every cron; ``until`` None is null: until they are resumed."""
    data = {
        keys.UNTIL: until.isoformat() if until else None,
        keys.EFFECTIVE_FROM: at.isoformat(),
    }
    return _unnumbered(EventType.ALL_PAUSED, LEDGER_STREAM, data, actor, at, reason=reason)


def all_resumed(*, reason: str, actor: str, at: datetime) -> Event:
    """Somebody ended the pause of everything."""
    data = {keys.EFFECTIVE_FROM: at.isoformat()}
    return _unnumbered(EventType.ALL_RESUMED, LEDGER_STREAM, data, actor, at, reason=reason)


def projection_rebuilt(
    *,
    projection: str,
    projection_version: int,
    events: int,
    rows: int,
    actor: str,
    at: datetime,
) -> Event:
    """A projection's rows were replaced by what a replay gave."""
    data = {
        keys.PROJECTION: projection,
        keys.PROJECTION_VERSION: projection_version,
        keys.EVENTS: events,
        keys.ROWS: rows,
    }
    return _unnumbered(EventType.PROJECTION_REBUILT, LEDGER_STREAM, data, actor, at)


def event_accepted(
    *, event_id: int, stream: str, version: int, reason: str, actor: str, at: datetime
) -> Event:
    """Somebody said that an event which cannot be read counts as nothing from now on."""
    data = {keys.EVENT: event_id, keys.EVENT_STREAM: stream, keys.EVENT_VERSION: version}
    return _unnumbered(EventType.EVENT_ACCEPTED, LEDGER_STREAM, data, actor, at, reason=reason)


def log_went_back(
    *,
    epoch: int,
    since: datetime | None,
    streams: Mapping[str, list[int]],
    actor: str,
    at: datetime,
) -> Event:
    """Events that were committed are gone, as after a failover. ``streams`` are those of crons of which
    more was known than is left."""
    data = {
        keys.EPOCH: epoch,
        keys.LOST_SINCE: since.isoformat() if since else None,
        keys.LOST_UNTIL: at.isoformat(),
        keys.LOST_STREAMS: dict(streams),
    }
    return _unnumbered(EventType.LOG_WENT_BACK, LEDGER_STREAM, data, actor, at)


def text_redacted(
    *,
    event_ids: Sequence[int],
    run_ids: Sequence[str],
    removed: int,
    reason: str,
    actor: str,
    at: datetime,
) -> Event:
    """Somebody has texts of these events removed: what the texts were is not told."""
    data = {
        keys.EVENT_IDS: list(event_ids),
        keys.RUN_IDS: list(run_ids),
        keys.REMOVED: removed,
    }
    return _unnumbered(EventType.TEXT_REDACTED, LEDGER_STREAM, data, actor, at, reason=reason)


def texts_expired(
    *, before: datetime, until_event: int, removed: int, actor: str, at: datetime
) -> Event:
    """All texts of events up to this id and of before this time are removed, because of their age."""
    data = {
        keys.TEXTS_BEFORE: before.isoformat(),
        keys.UNTIL_EVENT: until_event,
        keys.REMOVED: removed,
    }
    return _unnumbered(EventType.TEXTS_EXPIRED, LEDGER_STREAM, data, actor, at)


def events_archived(
    *,
    path: str,
    first_number: int,
    size: int,
    first_id: int,
    last_id: int,
    sha256: str,
    actor: str,
    at: datetime,
) -> Event:
    """Events with ``first_id <= id <= last_id`` are in a file that was read back and verified; their rows may
    go from now on."""
    data = {
        keys.SEGMENT_PATH: path,
        keys.SEGMENT_FIRST: first_number,
        keys.SEGMENT_SIZE: size,
        keys.SEGMENT_FIRST_ID: first_id,
        keys.SEGMENT_LAST_ID: last_id,
        keys.SEGMENT_SHA256: sha256,
    }
    return _unnumbered(EventType.EVENTS_ARCHIVED, LEDGER_STREAM, data, actor, at)


def events_restored(*, segments: int, size: int, last_id: int, actor: str, at: datetime) -> Event:
    """All events before this one come from archived segments, of which each was verified."""
    data = {
        keys.SEGMENTS: segments,
        keys.SEGMENT_SIZE: size,
        keys.SEGMENT_LAST_ID: last_id,
    }
    return _unnumbered(EventType.EVENTS_RESTORED, LEDGER_STREAM, data, actor, at)


def _unnumbered(
    event_type: EventType,
    stream: str,
    data: dict[str, Any],
    actor: str,
    at: datetime,
    *,
    reason: str = "",
) -> Event:
    return Event(
        stream=stream,
        version=0,
        type=event_type,
        reason=reason,
        actor=actor,
        occurred_at=at,
        data=data,
    )
