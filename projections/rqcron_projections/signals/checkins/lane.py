"""What a monitor is told next of one cron, and what it is not told any more. Pure: rows and times come in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from rqcron_events.core.run_state import RunStatus

from ..models import CheckIn, CheckInKind

__all__ = ["BEGIN_SECONDS_MAX", "WINDOW", "Plan", "is_good", "plan", "thinned"]

BEGIN_SECONDS_MAX = 300.0
"""An older begin is not told: the monitor would take it for one of now. The end is told."""
WINDOW = timedelta(minutes=1)
"""In which check-ins are counted."""
_GOOD = frozenset({RunStatus.SUCCEEDED.value, RunStatus.DECLINED.value})


@dataclass(slots=True, kw_only=True)
class Plan:
    """What to do with the rows of a cron that wait."""

    next: CheckIn | None = None
    """To be sent now."""
    left_out: list[CheckIn] = field(default_factory=list)
    """Never told."""
    wait_until: datetime | None = None
    """When there is room again; only where nothing is to be sent."""


def is_good(row: CheckIn) -> bool:
    """Whether the run that ended did what it was for. A run that found nothing to do did."""
    return row.fate in _GOOD


def plan(
    rows: Sequence[CheckIn],
    sent_at: Sequence[datetime],
    per_minute: int,
    begun: Collection[UUID],
    now: datetime,
) -> Plan:
    """By the rows that wait, the oldest first.

    ``sent_at``: when check-ins of this cron were sent in the last minute, the oldest first; ``begun``:
    runs whose begin was told and whose end was not. A begin that was told is followed by its end, however
    many others are left out, and where there is no room for both, neither the begin is told.
    """
    room = per_minute - len(sent_at)
    found = Plan()
    waiting: list[CheckIn] = []
    for row in rows:
        old = row.kind == CheckInKind.BEGIN and row.at < now - timedelta(seconds=BEGIN_SECONDS_MAX)
        (found.left_out if old else waiting).append(row)
    if len(waiting) > room:
        kept = thinned(waiting, begun)
        ids = {row.id for row in kept}
        found.left_out += [row for row in waiting if row.id not in ids]
        waiting = kept
    while waiting and waiting[0].kind == CheckInKind.BEGIN and room < 2:
        found.left_out.append(waiting.pop(0))
    if waiting and room > 0:
        found.next = waiting[0]
    elif waiting:
        found.wait_until = sent_at[0] + WINDOW
    return found


def thinned(rows: Sequence[CheckIn], begun: Collection[UUID]) -> list[CheckIn]:
    """What is left of the rows of a cron when there are more than may be sent: the ends of runs that were
    told to have begun, and the newest end of each sort. A row that was tried is kept: it may have arrived.
    """
    newest = {is_good(row): row.id for row in rows if row.kind == CheckInKind.END}
    return [
        row
        for row in rows
        if row.attempts
        or (row.kind == CheckInKind.END and (row.run_id in begun or row.id == newest[is_good(row)]))
    ]
