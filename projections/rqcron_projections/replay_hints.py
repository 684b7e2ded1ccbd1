"""What a projection may say of itself so that a replay is quick.

Only speed and memory depend on it. Without a hint, every event goes through ``apply`` and every row
is looked up; with it, the rows must come out the same, which ``cron_replay --check`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rqcron_events.core.clean_run.columns import CleanColumn
from rqcron_events.core.clean_run.run import CleanRun
from rqcron_events.core.events import Event

__all__ = ["CleanFold", "CleanRow", "CleanUnused", "ReplayHints"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanFold:
    """For rows that are crons: folds clean runs as ``apply`` folds their events, only quicker. Each
    is given the row of the cron, or None."""

    begin: Callable[[Any, CleanRun], Sequence[Any]]
    end: Callable[[Any, CleanRun], Sequence[Any]]
    stretch: Callable[[Any, Sequence[CleanRun]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class CleanRow:
    """For rows that are runs: a clean run is one new row, and changes no other. Where the database
    can make it, the rows never leave it."""

    columns: Mapping[str, CleanColumn]
    """By field: each field of the model has its value."""


@dataclass(frozen=True, slots=True)
class CleanUnused:
    """For rows that runs without incident do not change at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayHints:
    """All of them may be left out."""

    begins: Callable[[Event], bool] | None = None
    """Whether an event is the first of its row, so that nobody has to look for the row."""
    settled: Callable[[Any], bool] | None = None
    """Whether few events will follow about a row: it is written and kept in mind no more. Should
    one come, the row is read again."""
    clean: CleanFold | CleanRow | CleanUnused | None = None
    """What becomes of runs without incident, which are most of a log, in one piece. None: their
    events are read and applied one by one."""
