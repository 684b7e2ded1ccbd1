"""Events in the stream of a cron: its definitions, its pauses, and what asks for runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack
from uuid import UUID

from .. import keys
from ..event import Event, cron_stream
from ..types import EventType

Trigger = Literal["manual", "rerun", "backfill", "requeue", "recovered"]
"""Why a run was asked for beside the schedule."""


class InCron(TypedDict):
    """What every event in a cron's stream has."""

    cron: str
    version: int
    actor: str
    at: datetime


def cron_registered(
    *,
    definition: dict[str, Any],
    definition_version: int,
    effective_from: datetime,
    **place: Unpack[InCron],
) -> Event:
    """The code has a cron that the log has not, or no longer."""
    data = _definition(definition, definition_version, effective_from)
    return _in_cron(EventType.CRON_REGISTERED, data, **place)


def cron_changed(
    *,
    definition: dict[str, Any],
    definition_version: int,
    effective_from: datetime,
    changes: dict[str, list[Any]],
    **place: Unpack[InCron],
) -> Event:
    """The code has another definition than the log."""
    data = _definition(definition, definition_version, effective_from)
    return _in_cron(EventType.CRON_CHANGED, {**data, keys.CHANGES: changes}, **place)


def cron_retired(
    *, definition_version: int, effective_from: datetime, **place: Unpack[InCron]
) -> Event:
    """The code no longer has the cron; the version is that of its last definition."""
    data = {
        keys.DEFINITION_VERSION: definition_version,
        keys.EFFECTIVE_FROM: effective_from.isoformat(),
    }
    return _in_cron(EventType.CRON_RETIRED, data, **place)


def cron_paused(
    *, until: datetime | None, effective_from: datetime, reason: str, **place: Unpack[InCron]
) -> Event:
    """Somebody paused the cron; ``until`` None is null: until it is resumed."""
    data = {
        keys.UNTIL: until.isoformat() if until else None,
        keys.EFFECTIVE_FROM: effective_from.isoformat(),
    }
    return _in_cron(EventType.CRON_PAUSED, data, reason=reason, **place)


def cron_resumed(*, effective_from: datetime, reason: str, **place: Unpack[InCron]) -> Event:
    """Somebody ended the pause."""
    data = {keys.EFFECTIVE_FROM: effective_from.isoformat()}
    return _in_cron(EventType.CRON_RESUMED, data, reason=reason, **place)


def cron_rewound(
    *,
    effective_from: datetime,
    watermark: datetime,
    kept: Sequence[tuple[datetime, datetime]],
    reason: str,
    **place: Unpack[InCron],
) -> Event:
    """Somebody took back what a clock that was ahead had decided: slots later than
    ``effective_from`` are decided at their time, except for what fired already (``kept``)."""
    data = {
        keys.EFFECTIVE_FROM: effective_from.isoformat(),
        keys.WATERMARK: watermark.isoformat(),
        keys.KEPT: [[first.isoformat(), last.isoformat()] for first, last in kept],
    }
    return _in_cron(EventType.CRON_REWOUND, data, reason=reason, **place)


def slot_fired(
    *,
    slot: datetime,
    run_id: UUID,
    lateness_seconds: float,
    definition_version: int,
    jitter_seconds: float | None = None,
    held_up: Mapping[str, Any] | None = None,
    recovered: Mapping[str, Any] | None = None,
    **place: Unpack[InCron],
) -> Event:
    """A slot becomes a run, or has: ``recovered`` tells how that is known, where the decision was
    lost with the log."""
    data: dict[str, Any] = {
        keys.LATENESS_SECONDS: lateness_seconds,
        keys.DEFINITION_VERSION: definition_version,
    }
    if jitter_seconds is not None:
        data[keys.JITTER_SECONDS] = jitter_seconds
    if held_up is not None:
        data[keys.HELD_UP] = dict(held_up)
    if recovered is not None:
        data[keys.RECOVERED] = dict(recovered)
    return _in_cron(EventType.SLOT_FIRED, data, run_id=run_id, slot=slot, **place)


class PassedOver(InCron):
    """What a decision not to run some slots has."""

    reason: str
    first: datetime
    last: datetime
    count: int
    definition_version: int
    evidence: Mapping[str, Any]


def slot_skipped(**decision: Unpack[PassedOver]) -> Event:
    """Slots that shall not run: paused, disabled, or an earlier run is active."""
    return _passed_over(EventType.SLOT_SKIPPED, None, **decision)


def slot_missed(
    *, held_up: Mapping[str, Any] | None = None, **decision: Unpack[PassedOver]
) -> Event:
    """Slots that should have run, and did not."""
    return _passed_over(EventType.SLOT_MISSED, held_up, **decision)


def run_requested(
    *,
    run_id: UUID,
    slot: datetime | None,
    trigger: Trigger,
    reason: str,
    of: UUID | None = None,
    definition_version: int | None = None,
    label: str = "",
    recovered: Mapping[str, Any] | None = None,
    not_before: datetime | None = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **place: Unpack[InCron],
) -> Event:
    """A run that no slot asked for: a person, a backfill, the reconciler, or a requeue in RQ; or one
    whose decision or request was lost with the log."""
    data: dict[str, Any] = {keys.TRIGGER: trigger}
    if of is not None:
        data[keys.OF] = str(of)
    if definition_version is not None:
        data[keys.DEFINITION_VERSION] = definition_version
    if label:
        data[keys.LABEL] = label
    if recovered is not None:
        data[keys.RECOVERED] = dict(recovered)
    if not_before is not None:
        data[keys.NOT_BEFORE] = not_before.isoformat()
    if args is not None:
        data[keys.ARGS] = list(args)
    if kwargs is not None:
        data[keys.KWARGS] = dict(kwargs)
    return _in_cron(EventType.RUN_REQUESTED, data, run_id=run_id, slot=slot, reason=reason, **place)


def _definition(
    definition: dict[str, Any], definition_version: int, effective_from: datetime
) -> dict[str, Any]:
    return {
        keys.DEFINITION: definition,
        keys.DEFINITION_VERSION: definition_version,
        keys.EFFECTIVE_FROM: effective_from.isoformat(),
    }


def _passed_over(
    event_type: EventType,
    held_up: Mapping[str, Any] | None,
    *,
    reason: str,
    first: datetime,
    last: datetime,
    count: int,
    definition_version: int,
    evidence: Mapping[str, Any],
    **place: Unpack[InCron],
) -> Event:
    data: dict[str, Any] = {
        keys.FIRST: first.isoformat(),
        keys.LAST: last.isoformat(),
        keys.COUNT: count,
        keys.DEFINITION_VERSION: definition_version,
        keys.EVIDENCE: dict(evidence),
    }
    if held_up is not None:
        data[keys.HELD_UP] = dict(held_up)
    return _in_cron(event_type, data, slot=last, reason=reason, **place)


def _in_cron(
    event_type: EventType,
    data: dict[str, Any],
    *,
    cron: str,
    version: int,
    actor: str,
    at: datetime,
    run_id: UUID | None = None,
    slot: datetime | None = None,
    reason: str = "",
) -> Event:
    return Event(
        stream=cron_stream(cron),
        version=version,
        type=event_type,
        cron=cron,
        run_id=run_id,
        scheduled_for=slot,
        reason=reason,
        actor=actor,
        occurred_at=at,
        data=data,
    )
