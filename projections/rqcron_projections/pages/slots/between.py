"""The slots of one cron in a range of time, each judged by the definition in force at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from rqcron_events.core.expected_slots import Promise, promised
from rqcron_events.core.schedule.slot_count import count_slots
from rqcron_events.ledger.lookup import archived_until

from .decisions import decisions_between, runs_of
from .entries import Entry, decided, in_order, undecided

__all__ = ["SLOTS_MAX", "Slots", "slots_between"]

SLOTS_MAX = 3_700
"""Of a range: beyond, days are counted instead of slots. So many are read and drawn in a fifth of a
second; an hour of a cron that is due each second has 3,600."""
AHEAD_MAX = 500
"""Slots to come that are shown."""
MOMENT = timedelta.resolution


class Slots(NamedTuple):
    entries: list[Entry]
    """Oldest first: decided, not decided, and to come."""
    is_too_many: bool
    """Then there are no entries."""


def slots_between(
    name: str,
    stretches: Sequence[Promise],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    watermark: datetime | None,
    messages: bool = False,
) -> Slots:
    """Slots with ``since <= slot < until``; four queries, or none where there are too many. ``messages``: see
    ``runs_of``."""
    if _count(stretches, since, min(until, now)) > SLOTS_MAX:
        return Slots([], True)
    decisions, is_too_many = decisions_between(name, since, until, SLOTS_MAX)
    if is_too_many:
        return Slots([], True)
    entries = list(decided(decisions, runs_of(decisions, messages=messages)))
    others = undecided(
        _promised(stretches, since, until, now),
        entries,
        watermark=watermark,
        archived_until=archived_until(),
        now=now,
    )
    return Slots(in_order([*entries, *others]), False)


def _count(stretches: Sequence[Promise], since: datetime, until: datetime) -> int:
    counted = 0
    for stretch in stretches:
        begin = max(since - MOMENT, stretch.start)
        end = until if stretch.end is None else min(until, stretch.end)
        if stretch.schedule is not None and begin < end:
            counted += count_slots(stretch.schedule, begin, end)
    return counted


def _promised(
    stretches: Sequence[Promise], since: datetime, until: datetime, now: datetime
) -> Iterator[tuple[datetime, int]]:
    ahead = 0
    for slot in promised(stretches, since - MOMENT, until - MOMENT):
        ahead += slot.at > now
        if ahead > AHEAD_MAX:
            return
        yield slot.at, slot.definition_version
