"""A run without incident as one row of a table, told so that Python and SQL can both make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from .run import CleanRun

__all__ = ["CleanColumn", "Elapsed", "OfRun", "row_maker"]


@dataclass(frozen=True, slots=True)
class OfRun:
    """A field of the run, by its name in :class:`CleanRun`."""

    field: str


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Seconds from one time of the run to another (fields of CleanRun); zero when the clocks of
    two machines make them negative."""

    since: str
    until: str


CleanColumn = OfRun | Elapsed | str | int | None
"""Plain text, numbers and None are the same in every row."""


def row_maker(columns: Sequence[CleanColumn]) -> Callable[[CleanRun], tuple[Any, ...]]:
    """Makes the values of a row from a run, in the order of the columns.

    >>> row_maker([OfRun("cron"), "slot", 1])(run)
    ('send_digest', 'slot', 1)
    """
    getters = [_getter(column) for column in columns]
    return lambda run: tuple([get(run) for get in getters])


def _getter(column: CleanColumn) -> Callable[[CleanRun], Any]:
    match column:
        case OfRun(field):
            return attrgetter(field)
        case Elapsed(since, until):
            begin, end = attrgetter(since), attrgetter(until)
            return lambda run: max((end(run) - begin(run)).total_seconds(), 0.0)
        case _:
            return lambda _: column
