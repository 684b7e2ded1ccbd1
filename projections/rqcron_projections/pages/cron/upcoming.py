"""What is due next, and what will come of it as far as people have decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from rqcron_events.core.definition import Definition
from rqcron_events.core.explain.clock_change import clock_change_text
from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.schedule import local_time, slots_between, zone_or_utc
from rqcron_events.core.wording import Show, duration, pause_words

__all__ = ["Due", "due_next"]

SLOTS_MAX = 20
YEARS = timedelta(days=50 * 365)


class Due(NamedTuple):
    at: datetime
    notes: str
    """What the clocks, jitter or a pause do to it; empty: nothing."""


def due_next(
    definition: Definition | None, now: datetime, pauses: list[Pause], show: Show
) -> list[Due]:
    """The next slots of the definition in force. ``pauses``: that are in force now, of the cron and of
    all crons."""
    if definition is None or definition.disabled:
        return []
    try:
        slots = list(slots_between(definition.schedule, now, now + YEARS, SLOTS_MAX))
    except (ValueError, OverflowError):
        return []
    found: list[Due] = []
    before = now
    for slot in slots:
        notes = [*_clocks(definition, before, slot), *_jitter(definition, slot)]
        notes += [f"will be skipped: {pause_words(p, show)}" for p in pauses if p.covers(slot)][:1]
        found.append(Due(slot, "; ".join(notes)))
        before = slot
    return found


def _clocks(definition: Definition, before: datetime, slot: datetime) -> Iterator[str]:
    """A change of the clocks since the slot before, and what it does to this one."""
    zone = zone_or_utc(definition.timezone)
    old, new = local_time(before, zone), local_time(slot, zone)
    if old.utcoffset() != new.utcoffset():
        yield f"clocks go from {old.tzname()} to {new.tzname()} before it"
    text = clock_change_text(definition, slot)
    if text:
        yield text


def _jitter(definition: Definition, slot: datetime) -> Iterator[str]:
    delay = definition.delay(slot)
    if delay:
        yield f"due {duration(delay.total_seconds())} later, by jitter"
