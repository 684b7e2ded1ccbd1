"""How long runs took, how late slots fired, how long jobs waited: plots on the timeline's axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rqcron_events.core.wording import Show, duration

from ...models import CronDay
from ..drawing.marks import Fate
from ..drawing.plots import Axis, Box, Scale, boxes_of
from ..slots.entries import Entry

__all__ = ["Plot", "plots"]

BINS = 88
HEIGHT = 84.0
TOP, BOTTOM = 22.0, 76.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """The median of a part of the time, and how far up the slowest went."""

    x: float
    y: float
    high_y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One measure."""

    name: str
    meaning: str
    dots: Sequence[Dot]
    boxes: Sequence[Box]
    """The same as figures."""
    highest: str
    height: float = HEIGHT
    top: float = TOP
    bottom: float = BOTTOM


def plots(entries: Sequence[Entry], days: Sequence[CronDay], axis: Axis, show: Show) -> list[Plot]:
    """Those of which there are values in the window. ``days``: in the place of entries."""
    measured: list[tuple[str, str, Sequence[Box]]]
    if days:
        measured = [(name, meaning, _of_days(days, column)) for name, meaning, column in _DAYS]
    else:
        inside = [entry for entry in entries if axis.start <= entry.last < axis.end]
        values = (_durations(inside), _lateness(inside), _waits(inside))
        measured = [
            (name, meaning, boxes_of(found, axis, BINS))
            for (name, meaning, _), found in zip(_DAYS, values, strict=True)
        ]
    return [_plot(name, meaning, boxes, axis, show) for name, meaning, boxes in measured if boxes]


_DAYS = (
    ("Duration", "of the last attempt, as the worker measured it", "duration"),
    ("Lateness", "from when a slot was due to its decision", "lateness"),
    ("Queue wait", "from enqueued to started", "queue_wait"),
)


def _durations(entries: Iterable[Entry]) -> list[tuple[datetime, float]]:
    return [
        (entry.last, entry.run.duration_seconds)
        for entry in entries
        if entry.run is not None and entry.run.duration_seconds is not None
    ]


def _lateness(entries: Iterable[Entry]) -> list[tuple[datetime, float]]:
    passed_over = (Fate.SKIPPED, Fate.MISSED)
    return [
        (entry.last, entry.lateness_seconds)
        for entry in entries
        if entry.run_id is not None and entry.fate not in passed_over
    ]


def _waits(entries: Iterable[Entry]) -> list[tuple[datetime, float]]:
    return [
        (entry.last, max(entry.run.queue_wait_seconds, 0.0))
        for entry in entries
        if entry.run is not None and entry.run.queue_wait_seconds is not None
    ]


def _of_days(days: Sequence[CronDay], column: str) -> list[Box]:
    """By the middle of each day: the mean, and the longest."""
    found: list[Box] = []
    for day in days:
        count = getattr(day, f"{column}_count")
        if not count:
            continue
        noon = datetime.fromisoformat(f"{day.day.isoformat()}T12:00:00+00:00")
        mean = getattr(day, f"{column}_sum_us") / count / 1_000_000
        highest = (getattr(day, f"{column}_max_us") or 0) / 1_000_000
        found.append(
            Box(start=noon, end=noon, count=count, median=mean, p95=highest, highest=highest)
        )
    return found


def _plot(name: str, meaning: str, boxes: Sequence[Box], axis: Axis, show: Show) -> Plot:
    highest = max(box.highest for box in boxes)
    scale = Scale(highest, TOP, BOTTOM)
    dots = [
        Dot(
            x=axis.x(box.start + (box.end - box.start) / 2),
            y=scale.y(box.median),
            high_y=scale.y(box.highest),
            label=_label(box, show),
        )
        for box in boxes
    ]
    return Plot(name=name, meaning=meaning, dots=dots, boxes=boxes, highest=duration(highest))


def _label(box: Box, show: Show) -> str:
    if box.count == 1:
        return f"{show(box.start)}: {duration(box.highest)}"
    half, most = duration(box.median), duration(box.highest)
    return f"from {show(box.start)}, {box.count:,} runs: half up to {half}, the longest {most}"
