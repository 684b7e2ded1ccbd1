"""What a cron's status is: what people did with it goes before what its runs say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rqcron_events.core.definition import Definition
from rqcron_events.core.interventions.rewind import Kept, around
from rqcron_events.core.schedule import Schedule

from ..models import CronJob, CronStatus

__all__ = ["DISABLED", "PAUSED", "RETIRED", "as_of", "clear_pause", "next_slot", "status_of"]


NEW, IDLE, SUCCEEDING, FAILING, PAUSED, DISABLED, RETIRED = (item.value for item in CronStatus)
"""Plain strings: these are compared and set for every other event."""


_SCHEDULE = ("expression", "every_seconds", "offset_seconds", "timezone")


def status_of(row: CronJob, *, retired: bool) -> str:
    if retired:
        return RETIRED
    if row.definition.get("disabled"):
        return DISABLED
    if row.paused_at is not None:
        return PAUSED
    if row.consecutive_failures:
        return FAILING
    if row.consecutive_successes:
        return SUCCEEDING
    return IDLE if row.declined_count else NEW


def clear_pause(row: CronJob) -> None:
    row.paused_at = None
    row.paused_until = None
    row.paused_by = ""
    row.pause_reason = ""


def next_slot(row: CronJob) -> datetime | None:
    """The first slot that may fire after the last one decided, under the definition in force."""
    if row.status in (DISABLED, RETIRED):
        return None
    after = max(row.last_slot or row.effective_from, row.effective_from)
    if row.paused_at is not None:
        if row.paused_until is None:
            return None
        after = max(after, row.paused_until)
    kept = [Kept(*map(datetime.fromisoformat, pair)) for pair in row.kept]
    try:
        schedule = _schedule(row.name, row.definition)
    except (ValueError, TypeError):
        # A zone that this machine does not know must not stop the rows of all other crons.
        return None
    for start, end in around(kept, after, None):
        slot = schedule.next_after(start)
        if slot is not None and (end is None or slot <= end):
            return slot
    return None


def _schedule(name: str, data: dict[str, Any]) -> Schedule:
    """Of a definition that was whole when it was folded. Raises ValueError or TypeError."""
    fields = {key: data[key] for key in _SCHEDULE if key in data}
    return Definition(name=name, function="", **fields).schedule


def as_of(row: CronJob, instant: datetime) -> CronJob:
    """The row for somebody who knows the time: a pause runs out without an event.

    Its row learns of that with the next decision, which may be a month away.
    """
    over = row.paused_until is not None and row.paused_until < instant
    if over and row.status in (PAUSED, DISABLED):
        clear_pause(row)
        row.status = status_of(row, retired=False)
    return row
