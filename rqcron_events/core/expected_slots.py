"""Which slots the definitions in force promised. Pure, and without a look at any decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from .cron_state import Phase
from .schedule import CronSchedule, Schedule

__all__ = ["Promise", "Slot", "promised", "promises", "slots_around"]


class Promise(NamedTuple):
    """One definition in force: the slots later than ``start``, up to and with ``end``."""

    start: datetime
    end: datetime | None
    """None while it is in force."""
    definition_version: int
    schedule: Schedule | None
    """None while the cron is retired: no slot is promised."""
    unreadable: str = ""
    """Why the definition cannot be read today, as when its zone left the tz database. Then
    ``schedule`` is None, and only the log knows which slots there were."""

    def covers(self, instant: datetime) -> bool:
        return self.start < instant and (self.end is None or instant <= self.end)


class Slot(NamedTuple):
    """An instant at which the cron was due, and the definition that said so."""

    at: datetime
    definition_version: int


def promises(phases: Sequence[Phase]) -> list[Promise]:
    """The stretches of one definition each, in order. Pauses do not change what is promised."""
    found: list[Promise] = []
    for phase in phases:
        schedule, unreadable = _schedule(phase)
        new = Promise(phase.start, None, phase.definition_version, schedule, unreadable)
        if found:
            last = found[-1]
            if _which(last) == _which(new):
                continue
            found[-1] = last._replace(end=phase.start)
        found.append(new)
    return found


def _schedule(phase: Phase) -> tuple[Schedule | None, str]:
    if phase.definition is None:
        return None, ""
    try:
        return phase.definition.schedule, ""
    except ValueError as error:
        return None, str(error)


def _which(promise: Promise) -> tuple[int, bool, bool]:
    return promise.definition_version, promise.schedule is None, bool(promise.unreadable)


def promised(stretches: Sequence[Promise], after: datetime, until: datetime) -> Iterator[Slot]:
    """Every slot with ``after < slot <= until``, oldest first."""
    for stretch in stretches:
        if stretch.schedule is None:
            continue
        end = until if stretch.end is None else min(until, stretch.end)
        for slot in _walk(stretch.schedule, max(after, stretch.start)):
            if slot > end:
                break
            yield Slot(slot, stretch.definition_version)


def slots_around(
    stretches: Sequence[Promise], at: datetime
) -> tuple[datetime | None, datetime | None]:
    """The last slot before an instant and the first one after it, under whichever definition."""
    before = after = None
    for stretch in stretches:
        if stretch.schedule is None:
            continue
        if stretch.start < at:
            end = at - datetime.resolution
            found = stretch.schedule.prev_until(min(end, stretch.end) if stretch.end else end)
            if found is not None and found > stretch.start:
                before = found
        if after is None:
            found = stretch.schedule.next_after(max(at, stretch.start))
            if found is not None and (stretch.end is None or found <= stretch.end):
                after = found
    return before, after


def _walk(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Past ``next_after``: each slot is asked for once, and would push others out of its memory."""
    if isinstance(schedule, CronSchedule):
        yield from schedule.walk(after)
        return
    slot = schedule.next_after(after)
    while slot is not None:
        yield slot
        slot = schedule.next_after(slot)
