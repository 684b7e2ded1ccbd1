"""Where things stand in a plot: an axis of time, and one of values. No markup: that is the
templates', with classes and without style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

__all__ = ["Axis", "Box", "Scale", "boxes_of"]

WIDTH = 1000.0
LEFT = 104.0
"""Room for the names of lanes."""
RIGHT = 12.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Time from left to right, in the units of the SVG's ``viewBox``."""

    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """What lies outside stands at the edge."""
        part = (at - self.start) / (self.end - self.start)
        return round(LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)

    def bins(self, count: int) -> list[datetime]:
        """Where each of so many equal parts begins."""
        length = (self.end - self.start) / count
        return [self.start + length * place for place in range(count)]

    def bin_of(self, at: datetime, count: int) -> int:
        part = (at - self.start) / (self.end - self.start)
        return min(max(int(part * count), 0), count - 1)

    def bin_width(self, count: int) -> float:
        return (WIDTH - LEFT - RIGHT) / count

    def bin_length(self, count: int) -> timedelta:
        return (self.end - self.start) / count


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from zero, at ``bottom``, upwards to ``highest``, at ``top``."""

    highest: float
    top: float
    bottom: float

    def y(self, value: float) -> float:
        if self.highest <= 0:
            return self.bottom
        part = min(max(value / self.highest, 0.0), 1.0)
        return round(self.bottom - part * (self.bottom - self.top), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What was measured in one part of the time, in seconds."""

    start: datetime
    end: datetime
    count: int
    median: float
    p95: float
    highest: float


def boxes_of(measured: Iterable[tuple[datetime, float]], axis: Axis, count: int) -> Sequence[Box]:
    """The values of each of ``count`` parts of the axis; parts without a value are left out."""
    by_bin: dict[int, list[float]] = {}
    for at, value in measured:
        by_bin.setdefault(axis.bin_of(at, count), []).append(value)
    length = axis.bin_length(count)
    found: list[Box] = []
    for place in sorted(by_bin):
        values = sorted(by_bin[place])
        start = axis.start + length * place
        found.append(
            Box(
                start=start,
                end=start + length,
                count=len(values),
                median=_rank(values, 0.5),
                p95=_rank(values, 0.95),
                highest=values[-1],
            )
        )
    return found


def _rank(values: Sequence[float], part: float) -> float:
    return values[max(ceil(part * len(values)), 1) - 1]
