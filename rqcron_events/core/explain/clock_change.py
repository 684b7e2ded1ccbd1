"""What a change of the clocks did to a slot, in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..definition import Definition
from ..schedule import CronSchedule

__all__ = ["clock_change_text"]

CHANGE_SEARCHED = timedelta(hours=26)
"""No zone has ever skipped more than a day."""


def clock_change_text(definition: Definition, instant: datetime, *, ran: bool = False) -> str:
    """One sentence without its full stop, or nothing when the clocks did not matter. ``ran`` says
    whether the slot fired.

    Only for times of day: other schedules follow real time.
    """
    schedule = definition.schedule
    if not isinstance(schedule, CronSchedule) or not schedule.times_of_day:
        return ""
    runs = "ran" if ran else "runs"
    try:
        return _skipped(schedule, instant, runs) or _repeated(schedule, instant, runs)
    except OverflowError:  # at either end of the calendar
        return ""


def _skipped(schedule: CronSchedule, slot: datetime, runs: str) -> str:
    wall = _wall(schedule, slot)
    if schedule.next_wall(wall) == wall or schedule.prev_until(slot) != slot:
        return ""
    after = schedule.offset_at(slot)
    before = schedule.offset_at(slot - CHANGE_SEARCHED)
    if before == after:
        return ""
    change = schedule.change_between(slot - CHANGE_SEARCHED, slot, before)
    gap_start = _naive(change) + before
    gap_end = _naive(change) + after
    intended = schedule.next_wall(gap_start)
    if intended is None or intended >= gap_end:
        return ""
    return (
        f"{intended:%H:%M} did not exist on {intended:%Y-%m-%d} in {schedule.zone.key}, where clocks "
        f"went from {gap_start:%H:%M} to {gap_end:%H:%M}; it {runs} at {wall:%H:%M} instead"
    )


def _repeated(schedule: CronSchedule, instant: datetime, runs: str) -> str:
    wall = _wall(schedule, instant)
    first = wall.replace(tzinfo=schedule.zone, fold=0)
    second = wall.replace(tzinfo=schedule.zone, fold=1)
    if first.utcoffset() == second.utcoffset() or schedule.next_wall(wall) != wall:
        return ""
    if (first.utcoffset() or timedelta(0)) < (second.utcoffset() or timedelta(0)):
        return ""  # a gap, not a fold
    happened = f"{wall:%H:%M} happened twice on {wall:%Y-%m-%d} in {schedule.zone.key}"
    in_first = f"it {runs} in the first pass ({first.tzname()})"
    again = f"not again in the second ({second.tzname()})"
    return f"{happened}; {in_first} and {again}"


def _wall(schedule: CronSchedule, instant: datetime) -> datetime:
    return instant.astimezone(schedule.zone).replace(tzinfo=None, fold=0)


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)
