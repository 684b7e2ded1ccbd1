"""Times of day at which many crons are due at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from itertools import islice

from rqcron_events.core.schedule import EPOCH, local_time

from .amounts import Amounts, Due
from .due import QUARTER, due_quarters

__all__ = ["Herd", "herds"]

LISTED_MAX = 5
NAMED_MAX = 6
CRONS_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Herd:
    """The worst of the days that have a quarter of an hour like it."""

    begin: datetime
    at: time
    """In the zone that was asked for."""
    days: int
    """On how many of the seven they come together then."""
    crons: int
    names: tuple[str, ...]
    """Some of them."""


def herds(
    crons: Sequence[Due], to_come: Amounts, begin: datetime, end: datetime, zone: tzinfo
) -> list[Herd]:
    """The largest first; one for each time of day. A cron with several slots in a quarter is due all
    the time, and belongs to none."""
    by_time: dict[time, list[tuple[int, int]]] = {}
    for number, count in to_come.crons.items():
        if count >= CRONS_MIN:
            local = local_time(EPOCH + number * QUARTER, zone).time()
            by_time.setdefault(local, []).append((count, number))
    worst = sorted(by_time.items(), key=lambda item: (-max(item[1])[0], item[0]))
    found = []
    for at, quarters in worst[:LISTED_MAX]:
        most = max(count for count, _number in quarters)
        number = min(number for count, number in quarters if count == most)
        found.append(
            Herd(
                begin=EPOCH + number * QUARTER,
                at=at,
                days=len(quarters),
                crons=most,
                names=tuple(_names(crons, number, begin, end)),
            )
        )
    return found


def _names(crons: Sequence[Due], number: int, begin: datetime, end: datetime) -> Iterator[str]:
    due = (
        cron.present_name
        for cron in crons
        if due_quarters(cron.schedule, begin, end).get(number) == 1
    )
    return islice(due, NAMED_MAX)
