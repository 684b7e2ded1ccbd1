"""What events say to monitors. Pure: events come in, and rows of the outbox go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.events.keys import (
    COUNT,
    DURATION_SECONDS,
    ERROR,
    ERROR_TYPE,
    FIRST,
)
from rqcron_events.core.run_state import STATUS_OF_OUTCOME, RunStatus, attempt_number

from ...models import CronJob
from ...report.names import present_name
from ..models import CheckIn, CheckInKind
from .conf import Monitor
from .schedule import leaves_out

__all__ = ["EVENT_TYPES", "rows_of"]

EVENT_TYPES = OUTCOMES | {EventType.RUN_STARTED, EventType.SLOT_SKIPPED, EventType.SLOT_MISSED}
_FATES: dict[EventType, tuple[CheckInKind, str]] = {
    EventType.RUN_STARTED: (CheckInKind.BEGIN, RunStatus.RUNNING.value),
    EventType.SLOT_SKIPPED: (CheckInKind.NOTE, "skipped"),
    EventType.SLOT_MISSED: (CheckInKind.NOTE, "missed"),
    **{kind: (CheckInKind.END, status.value) for kind, status in STATUS_OF_OUTCOME.items()},
}
ERROR_TYPE_CHARS_MAX = 200


def rows_of(
    events: Iterable[Event],
    monitors: Iterable[Monitor],
    jobs: Mapping[str, CronJob],
    now: datetime,
) -> list[CheckIn]:
    """One for each event and monitor that it is for: the first start of a run, its outcome, and decisions
    against a slot.

    A run has one outcome, and one first start: what comes between the two, such as tries that fail,
    tells a monitor nothing.
    """
    monitors, rows = list(monitors), []
    for event in events:
        kind, fate = _FATES[event.type]
        if kind is CheckInKind.BEGIN and attempt_number(event, 0) > 1:
            continue
        job = jobs.get(event.cron)
        called = present_name(job) if job else event.cron
        for monitor in monitors:
            wanted = kind in monitor.protocol.tells and monitor.check_of(called) is not None
            if wanted and not leaves_out(monitor.kind, job):
                rows.append(_row(monitor, event, kind, fate, now))
    return rows


def _row(monitor: Monitor, event: Event, kind: CheckInKind, fate: str, now: datetime) -> CheckIn:
    return CheckIn(
        monitor=monitor.name,
        cron=event.cron,
        kind=kind,
        fate=fate,
        run_id=event.run_id,
        at=event.occurred_at,
        detail=_detail(event),
        created_at=now,
        next_try_at=now,
    )


def _detail(event: Event) -> dict[str, Any]:
    """What is told besides; no message of an error and no result, which may be about people."""
    error = event.data.get(ERROR)
    found = {
        "slot": event.scheduled_for.isoformat() if event.scheduled_for else None,
        "first": event.data.get(FIRST),
        "count": event.data.get(COUNT),
        "reason": event.reason,
        "attempt": event.attempt,
        "error_type": str(error.get(ERROR_TYPE, ""))[:ERROR_TYPE_CHARS_MAX] if error else None,
        "duration_seconds": event.data.get(DURATION_SECONDS),
    }
    return {key: value for key, value in found.items() if value not in (None, "")}
