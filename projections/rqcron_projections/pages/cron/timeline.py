"""The timeline as shapes: slots in lanes, and what happened around them, on one axis of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from rqcron_events.core.wording import Show

from ...models import CronDay
from ..drawing.marks import Fate
from ..drawing.plots import Axis
from ..frame.links import instant_part
from ..slots.entries import Entry
from .happenings import Happening
from .window import Window

__all__ = ["Cell", "Lane", "Mark", "Timeline", "timeline"]

MARK_SIZE = 20.0
BINS = 88
"""Parts of the axis where slots lie too close for a mark each."""
TOP = 26.0
"""Below the labels of the ticks."""
KINDS = ("asked for", "paused", "no runner", "schedule", "deploy")
"""Of what happened: a lane for each that did."""
BEHIND = KINDS[1:]
"""Those that say something of all slots at that time."""
LANE_HEIGHT = 28.0
BAND_HEIGHT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One slot, or a stretch of slots, with a letter."""

    x: float
    y: float
    fate: Fate
    url: str
    label: str
    bar_x: float | None = None
    """Where the stretch begins; None: it is one slot."""

    @property
    def left(self) -> float:
        return self.x - MARK_SIZE / 2

    @property
    def bar_width(self) -> float:
        return self.x - (self.bar_x or self.x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The slots of one fate in a part of the time, as a bar; or a band, or a moment."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    """Its class, after ``rqcron-``."""
    url: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    name: str
    y: float
    height: float
    marks: Sequence[Mark] = ()
    cells: Sequence[Cell] = ()
    fate: Fate | None = None
    """That all of its cells have."""

    @property
    def middle(self) -> float:
        return self.y + self.height / 2 + 4


@dataclass(slots=True, kw_only=True)
class Timeline:
    axis: Axis
    lanes: list[Lane] = field(default_factory=list)
    height: float = TOP
    behind: list[Cell] = field(default_factory=list)
    """What happened, over the whole height behind the slots: it is in a lane, too."""

    def add(self, name: str, height: float) -> float:
        """Where a new lane of that height begins."""
        start = self.height
        self.height += height
        return start


def timeline(
    entries: Sequence[Entry],
    days: Sequence[CronDay],
    happened: Sequence[Happening],
    window: Window,
    slots_url: str,
    show: Show,
) -> Timeline:
    """``days``: in the place of entries, where there are too many."""
    found = Timeline(axis=Axis(window.start, window.end))
    inside = [entry for entry in entries if entry.last >= window.start]
    if days:
        _add_bins(found, _counted_days(days, window, found.axis), window, slots_url, show)
    elif _fit(inside, found.axis):
        y = found.add("Slots", LANE_HEIGHT)
        marks = [_mark(entry, found.axis, y, slots_url, show) for entry in inside]
        found.lanes.append(Lane(name="Slots", y=y, height=LANE_HEIGHT, marks=marks))
    else:
        _add_bins(found, _counted(inside, found.axis), window, slots_url, show)
    for kind in KINDS:
        cells = [item for item in happened if item.kind == kind]
        if cells:
            y = found.add(kind, BAND_HEIGHT)
            drawn = [_happening(item, found.axis, y, show) for item in cells]
            found.lanes.append(Lane(name=kind, y=y, height=BAND_HEIGHT, cells=drawn))
            found.behind += drawn if kind in BEHIND else []
    return found


def _fit(entries: Sequence[Entry], axis: Axis) -> bool:
    """Whether each can have a mark of its own."""
    places = [axis.x(entry.last) for entry in entries]
    return all(after - before >= MARK_SIZE - 1 for before, after in pairwise(places))


def _mark(entry: Entry, axis: Axis, y: float, slots_url: str, show: Show) -> Mark:
    begins = axis.x(entry.first)
    x = axis.x(entry.last)
    return Mark(
        x=x,
        y=y + 4,
        fate=entry.fate,
        url=f"{slots_url}{instant_part(entry.last)}/",
        label=f"{show(entry.last)}: {entry.words}",
        bar_x=begins if entry.count > 1 and x - begins > 1 else None,
    )


@dataclass(slots=True)
class _Bin:
    start: datetime
    count: int = 0
    only: datetime | None = None
    """The slot, if it is one."""


def _counted(entries: Sequence[Entry], axis: Axis) -> dict[Fate, dict[int, _Bin]]:
    """A stretch is spread evenly over the parts of the time that it covers."""
    starts = axis.bins(BINS)
    found: dict[Fate, dict[int, _Bin]] = {}
    for entry in entries:
        bins = found.setdefault(entry.fate, {})
        first, last = (axis.bin_of(at, BINS) for at in (entry.first, entry.last))
        parts = last - first + 1
        for place in range(first, last + 1):
            part = bins.setdefault(place, _Bin(starts[place]))
            share = entry.count // parts + (place - first < entry.count % parts)
            part.only = entry.last if share == 1 and part.count == 0 else None
            part.count += share
    return found


def _counted_days(
    days: Sequence[CronDay], window: Window, axis: Axis
) -> dict[Fate, dict[int, _Bin]]:
    starts = axis.bins(BINS)
    found: dict[Fate, dict[int, _Bin]] = {}
    for day in days:
        noon = datetime(day.day.year, day.day.month, day.day.day, 12, tzinfo=window.start.tzinfo)
        if not window.start <= noon < window.end:
            continue
        failed = min(day.failed + day.lost + day.stopped + day.cancelled, day.fired)
        counts: Mapping[Fate, int] = {
            Fate.ON_TIME: day.fired - failed,
            Fate.FAILED: failed,
            Fate.SKIPPED: day.skipped,
            Fate.MISSED: day.missed,
        }
        for fate, count in counts.items():
            if count:
                place = axis.bin_of(noon, BINS)
                found.setdefault(fate, {}).setdefault(place, _Bin(starts[place])).count += count
    return found


def _add_bins(
    found: Timeline,
    counted: Mapping[Fate, Mapping[int, _Bin]],
    window: Window,
    slots_url: str,
    show: Show,
) -> None:
    highest = max((item.count for bins in counted.values() for item in bins.values()), default=1)
    length, width = found.axis.bin_length(BINS), found.axis.bin_width(BINS)
    for fate in Fate:
        if fate not in counted:
            continue
        total = sum(item.count for item in counted[fate].values())
        y = found.add(fate.word, LANE_HEIGHT)
        cells: list[Cell] = []
        for place, item in sorted(counted[fate].items()):
            if not item.count:
                continue
            height = max(round((LANE_HEIGHT - 4) * item.count / highest, 1), 5.0)
            if item.only is not None:
                url, label = (
                    f"{slots_url}{instant_part(item.only)}/",
                    f"{show(item.only)}: {fate.word}",
                )
            else:
                url = window.around(item.start + length / 2, window.nearer)
                label = f"{item.count:,} {fate.word} from {show(item.start)}"
            x = found.axis.x(found.axis.start) + place * width
            cells.append(
                Cell(
                    x=round(x, 1),
                    y=round(y + LANE_HEIGHT - 2 - height, 1),
                    width=round(width - 1, 1),
                    height=height,
                    kind=fate.value,
                    url=url,
                    label=label,
                )
            )
        name = f"{fate.word}, {total:,}"
        found.lanes.append(Lane(name=name, y=y, height=LANE_HEIGHT, cells=cells, fate=fate))


def _happening(item: Happening, axis: Axis, y: float, show: Show) -> Cell:
    x = axis.x(item.start)
    width = max(axis.x(item.end or axis.end) - x, 3.0) if item.is_stretch else 8.0
    return Cell(
        x=x if item.is_stretch else x - 4,
        y=y + 3,
        width=width,
        height=BAND_HEIGHT - 6,
        kind=f"is-{item.kind.replace(' ', '-')}",
        url=item.url or "#happenings",
        label=f"{show(item.start)}: {item.kind}: {item.words}",
    )
