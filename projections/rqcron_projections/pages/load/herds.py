"""Times of day at which many crons are due at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo

from rqcron_events.core.schedule import EPOCH

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
    """How many of the seven have slots then."""
    slots: int
    crons: int
    names: tuple[str, ...]
    """Some of them."""


def herds(
    crons: Sequence[Due], to_come: Amounts, begin: datetime, end: datetime, zone: tzinfo
) -> list[Herd]:
    """The largest first; one for each time of day."""
    by_time: dict[time, list[tuple[int, int]]] = {}
    for number, slots in to_come.runs.items():
        local = (EPOCH + number * QUARTER).astimezone(zone).time()
        by_time.setdefault(local, []).append((slots, number))
    worst = sorted(by_time.items(), key=lambda item: (-max(item[1])[0], item[0]))
    found = []
    for at, quarters in worst[:LISTED_MAX]:
        most = max(slots for slots, _number in quarters)
        number = min(number for slots, number in quarters if slots == most)
        names = [
            cron.present_name for cron in crons if number in due_quarters(cron.schedule, begin, end)
        ]
        if len(names) < CRONS_MIN:
            continue
        found.append(
            Herd(
                begin=EPOCH + number * QUARTER,
                at=at,
                days=len(quarters),
                slots=most,
                crons=len(names),
                names=tuple(names[:NAMED_MAX]),
            )
        )
    return found
