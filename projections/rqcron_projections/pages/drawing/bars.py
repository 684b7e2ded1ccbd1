"""A row of bars as SVG: one figure over time, with its own scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Bar", "Bars", "bars"]

WIDTH, HEIGHT = 360.0, 96.0
TOP, BOTTOM = 16.0, 16.0
"""Room for the highest value, and for the ends of the axis."""
BAR_PART = 0.8
"""The rest of a bar's place is a gap."""
HEIGHT_MIN = 1.5
"""Of anything that is not nothing: one failure among thousands is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """In the units of the picture."""

    x: float
    y: float
    width: float
    height: float
    label: str
    """What it stands for, for the pointer; the table beside the plot has the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """For ``rqcron/parts/bars.html``."""

    title: str
    kind: str
    """The class of its colour: ``rqcron-<kind>``."""
    bars: tuple[Bar, ...]
    highest: str
    """The value of the highest bar, in words."""
    first: str
    last: str
    """The ends of the axis."""
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def base(self) -> float:
        """Where bars stand."""
        return self.height - BOTTOM


def bars(
    title: str,
    kind: str,
    labels: Sequence[str],
    values: Sequence[float | None],
    show: Callable[[float], str] = lambda value: f"{value:,.0f}",
) -> Bars | None:
    """One bar for each label; None when there is nothing to draw.

    >>> bars("Failed runs", "failed", ["Mon", "Tue"], [0, 3]).highest
    '3'
    """
    high = max((value for value in values if value), default=0)
    if not high:
        return None
    place, room = WIDTH / len(labels), HEIGHT - TOP - BOTTOM
    found = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        if not value:
            continue
        height = max(value / high * room, HEIGHT_MIN)
        found.append(
            Bar(
                x=round(number * place + place * (1 - BAR_PART) / 2, 2),
                y=round(HEIGHT - BOTTOM - height, 2),
                width=round(place * BAR_PART, 2),
                height=round(height, 2),
                label=f"{label}: {show(value)}",
            )
        )
    return Bars(
        title=title,
        kind=kind,
        bars=tuple(found),
        highest=show(high),
        first=labels[0],
        last=labels[-1],
    )
