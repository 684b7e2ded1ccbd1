"""Which slots the definitions in force promised. Pure, and without a look at any decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from .schedule import CronSchedule, Schedule
from .state import Phase

__all__ = ["Promise", "Slot", "promised", "promises"]


class Promise(NamedTuple):
    """One definition in force: the slots later than ``start``, up to and with ``end``."""

    start: datetime
    end: datetime | None
    """None while it is in force."""
    definition_version: int
    schedule: Schedule | None
    """None while the cron is retired: no slot is promised."""

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
        schedule = phase.definition.schedule if phase.definition else None
        if found:
            last = found[-1]
            if (last.definition_version, last.schedule is None) == (
                phase.definition_version,
                schedule is None,
            ):
                continue
            found[-1] = last._replace(end=phase.start)
        found.append(Promise(phase.start, None, phase.definition_version, schedule))
    return found


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


def _walk(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Past ``next_after``: each slot is asked for once, and would push others out of its memory."""
    if isinstance(schedule, CronSchedule):
        yield from schedule.walk(after)
        return
    slot = schedule.next_after(after)
    while slot is not None:
        yield slot
        slot = schedule.next_after(slot)
