"""Slots that were decided by a clock that was ahead, and come again after ``cron_rewind``. Pure.

What fired then has had its run, so it is *kept*: its slot is not decided again when it comes. All
other decisions about the future no longer count, and are made again at their time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from ..events import Event
from ..events.keys import EFFECTIVE_FROM, KEPT
from ..schedule import Schedule

__all__ = ["Kept", "Rewind", "around", "is_kept", "kept_before", "kept_stretches"]

MOMENT = timedelta.resolution


class Kept(NamedTuple):
    """Slots that fired, one after the other: none of the cron lies between the two and did not."""

    first: datetime
    last: datetime


class Rewind(NamedTuple):
    """Decisions before this version of the cron's stream count for slots up to ``start`` only."""

    version: int
    start: datetime
    kept: tuple[Kept, ...]

    @classmethod
    def of(cls, event: Event) -> Self:
        start = event.parsed_time(EFFECTIVE_FROM)
        pairs = event.data[KEPT]
        kept = (Kept(*map(datetime.fromisoformat, pair)) for pair in pairs)
        return cls(event.version, start or event.occurred_at, tuple(kept))


def kept_stretches(fired: Iterable[datetime], schedule: Schedule | None) -> list[Kept]:
    """Slots in order, as few stretches; without a schedule each by itself."""
    found: list[Kept] = []
    for slot in fired:
        if found and schedule is not None and schedule.next_after(found[-1].last) == slot:
            found[-1] = found[-1]._replace(last=slot)
        else:
            found.append(Kept(slot, slot))
    return found


def around(
    kept: Sequence[Kept], after: datetime, until: datetime | None
) -> list[tuple[datetime, datetime | None]]:
    """The parts of a stretch of time (after the first, up to the second instant) that leave out what
    is kept; ``until`` None: without an end."""
    parts: list[tuple[datetime, datetime | None]] = []
    for first, last in kept:
        if until is not None and first > until:
            break
        if last <= after:
            continue
        if first - MOMENT > after:
            parts.append((after, first - MOMENT))
        after = last
    if until is None or after < until:
        parts.append((after, until))
    return parts


def is_kept(kept: Sequence[Kept], slot: datetime) -> bool:
    return any(first <= slot <= last for first, last in kept)


def kept_before(kept: Sequence[Kept], slot: datetime) -> int:
    """Equal for two slots between which nothing is kept: one decision may cover both."""
    return sum(last < slot for _, last in kept)
