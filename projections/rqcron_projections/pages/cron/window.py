"""The stretch of time that the timeline shows: a zoom, and where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

from django.http import QueryDict

from rqcron_events.core.schedule import Schedule, local_time
from rqcron_events.core.schedule.slot_count import count_slots

from ..frame.links import instant_part, parse_instant

__all__ = ["ZOOMS", "Tick", "Window"]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZOOMS = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}
"""From the nearest to the widest."""
SLOTS_WANTED = 12
"""The first view is the nearest one that has so many."""
AHEAD = 8
"""The first view ends behind now by one part in so many."""
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_TICKS = {
    # Every so many minutes of the local day, labelled so; how often an instant is looked at.
    "hour": (10, "%H:%M", timedelta(minutes=5)),
    "day": (180, "%H:%M", timedelta(minutes=15)),
    "week": (1_440, "%a %d %b", timedelta(minutes=15)),
    "month": (1_440, "%d %b", timedelta(minutes=15)),
}
_EACH = {"month": 3}
"""Of the ticks, only each such one has a label."""


@dataclass(frozen=True, slots=True)
class Tick:
    at: datetime
    label: str
    """Empty for a line between two labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Slots with ``start <= slot < end``."""

    zoom: str
    start: datetime
    is_now: bool
    """Nobody asked for a time."""

    @classmethod
    def of(cls, given: QueryDict, schedule: Schedule | None, now: datetime) -> Self:
        """By the address; what cannot be read counts as not given."""
        zoom = given.get("zoom", "")
        if zoom not in ZOOMS:
            zoom = _nearest(schedule, now)
        length = ZOOMS[zoom]
        start = parse_instant(given.get("from", ""))
        if start is None:
            return cls(zoom=zoom, start=now + length / AHEAD - length, is_now=True)
        return cls(zoom=zoom, start=min(max(start, EARLIEST), LATEST), is_now=False)

    @property
    def length(self) -> timedelta:
        return ZOOMS[self.zoom]

    @property
    def end(self) -> datetime:
        return self.start + self.length

    @property
    def before(self) -> str:
        return self.at(self.start - self.length)

    @property
    def after(self) -> str:
        return self.at(self.end)

    @property
    def now(self) -> str:
        return f"?zoom={self.zoom}"

    def at(self, start: datetime) -> str:
        """The address of another window of the same length."""
        return f"?zoom={self.zoom}&from={instant_part(start.replace(microsecond=0))}"

    def zoomed(self, zoom: str) -> str:
        """The address of another zoom: around the middle, or around now where that is shown."""
        if self.is_now:
            return f"?zoom={zoom}"
        return self.around(self.start + self.length / 2, zoom)

    def around(self, middle: datetime, zoom: str) -> str:
        start = (middle - ZOOMS[zoom] / 2).replace(microsecond=0)
        return f"?zoom={zoom}&from={instant_part(start)}"

    @property
    def nearer(self) -> str:
        """The next zoom, or this one where there is no nearer one."""
        names = list(ZOOMS)
        return names[max(names.index(self.zoom) - 1, 0)]

    def ticks(self, zone: tzinfo) -> list[Tick]:
        """Round times of the zone's clocks."""
        minutes, style, step = _TICKS[self.zoom]
        found: list[Tick] = []
        at = self.start.replace(minute=0, second=0, microsecond=0)
        while at < self.end:
            local = local_time(at, zone)
            if at >= self.start and (60 * local.hour + local.minute) % minutes == 0:
                labelled = len(found) % _EACH.get(self.zoom, 1) == 0
                found.append(Tick(at, f"{local:{style}}" if labelled else ""))
            at += step
        return found


def _nearest(schedule: Schedule | None, now: datetime) -> str:
    for zoom, length in ZOOMS.items():
        if schedule is not None and count_slots(schedule, now - length, now) >= SLOTS_WANTED:
            return zoom
    return "month"
