"""Rows of the log that are archived and stay there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef

from ...core.archive.row import row_of
from ...core.codec import Row
from ...core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    EventType,
    Reason,
    cron_stream,
    run_stream,
    runner_stream,
)
from ...core.seal.leaf import leaf
from ...ledger import store
from ...ledger.backend import backend_of
from ...models import CronEvent
from ..difference import Finding, Kind
from ..texts import ArchivedTexts

__all__ = ["KeptRows"]

PAGE_EVENTS = 5_000
_REQUESTS = (EventType.SLOT_FIRED.value, EventType.RUN_REQUESTED.value)
_DECISIONS = {item.value for item in DECISIONS}
_DEFINITIONS = {item.value for item in DEFINITION_TYPES}
_CRON, _RUN, _RUNNER = cron_stream(""), run_stream(UUID(int=0))[:4], runner_stream("")


class _Place(NamedTuple):
    """Of an event."""

    leaf: int
    row: Row
    is_there: bool


@dataclass(slots=True)
class KeptRows:
    """Rows of the log that are archived and stay: each has to be what its segment says, and none may be missing
    on which later folds rest (``archive.keeping`` has the rules)."""

    until: int
    """The last event that is archived."""
    count: int = 0
    texts: ArchivedTexts = field(default_factory=ArchivedTexts)
    """Of the others."""
    _log: Iterator[Row] = field(init=False)
    _next: Row | None = field(init=False)
    _straddling: set[UUID] = field(init=False)
    """Runs that have begun before and go on behind the archive."""
    _newest: dict[str, _Place] = field(default_factory=dict)
    _decided: dict[str, _Place] = field(default_factory=dict)
    _runners: dict[str, list[_Place]] = field(default_factory=dict)
    _started: _Place | None = None
    _complete: bool = True

    def __post_init__(self) -> None:
        self._log = _rows(self.until)
        self._next = next(self._log, None)
        self._straddling = _straddling(self.until)

    def compare(self, index: int, line: bytes) -> Finding | None:
        """The next archived event with what the log has of it."""
        row = row_of(line)
        found = self.skip_to(row[0], is_known=True)
        if found is not None:
            return found
        is_there = self._next is not None and self._next[0] == row[0]
        if self._next is not None and is_there:
            if leaf(self._next) != line:
                return _finding(
                    Kind.DIFFERS,
                    index,
                    self._next,
                    "is not what was archived, though its row stayed",
                )
            self.count += 1
            self._next = next(self._log, None)
        place = _Place(index, row, is_there)
        if not is_there:
            if self._has_to_stay(row):
                return _missing(place)
            self.texts.note(row)
        self._note(place)
        return None

    def skip_to(self, event_id: int, *, is_known: bool) -> Finding | None:
        """Pass by the rows before this event; with ``is_known``, there should be none."""
        while self._next is not None and self._next[0] < event_id:
            row = self._next
            self.count += 1
            self._next = next(self._log, None)
            if is_known:
                return _finding(Kind.ADDED, None, row, "was added: no segment has it")
        return None

    def give_up(self) -> None:
        """A segment is out of reach: what is newest cannot be said any more."""
        self._complete = False
        self._newest.clear()
        self._decided.clear()

    def end(self) -> Finding | None:
        """Behind the last archived event: what has to be there and is not."""
        found = self.skip_to(self.until + 1, is_known=True)
        if found is not None:
            return found
        places = [*self._newest.values(), *self._decided.values()]
        places += [place for each in self._runners.values() for place in each]
        places += [self._started] if self._started is not None else []
        return next((_missing(place) for place in places if not place.is_there), None)

    def _has_to_stay(self, row: Row) -> bool:
        stream, kind, run = row[1], row[3], row[6]
        if stream.startswith(_RUN):
            return run is not None and UUID(bytes=run) in self._straddling
        if stream.startswith(_CRON):
            return kind in _DEFINITIONS or (run is not None and UUID(bytes=run) in self._straddling)
        return not stream.startswith(_RUNNER)

    def _note(self, place: _Place) -> None:
        stream, kind = place.row[1], place.row[3]
        if stream.startswith(_CRON):
            self._newest[stream] = place
            if kind in _DECISIONS:
                self._decided[stream] = place
        elif stream.startswith(_RUNNER):
            if kind == EventType.RUNNER_STOPPED:
                self._runners.pop(stream, None)
            else:
                self._runners.setdefault(stream, []).append(place)
            if kind == EventType.RUNNER_STARTED:
                self._started = place


def _finding(kind: Kind, index: int | None, row: Row, what: str) -> Finding:
    text = f"Event {row[0]} ({row[3]}, version {row[2]} of {row[1]}) {what}."
    return Finding(kind=kind, text=text, event_id=row[0], leaf=index)


def _missing(place: _Place) -> Finding:
    what = "is archived, and should have stayed in the log all the same: later decisions rest on it"
    return _finding(Kind.MISSING, place.leaf, place.row, what)


def _rows(until: int) -> Iterator[Row]:
    db, after = store.connection(), 0
    while True:
        page = backend_of(db).read(db, after, until, PAGE_EVENTS)
        yield from page
        if len(page) < PAGE_EVENTS:
            return
        after = page[-1][0]


def _straddling(until: int) -> set[UUID]:
    rows = CronEvent.objects.using(store.connection().alias)
    asked = rows.filter(run_id=OuterRef("run_id"), type__in=_REQUESTS, id__gt=until)
    later = rows.filter(id__gt=until, run_id__isnull=False).exclude(reason=Reason.ARCHIVED)
    found = later.filter(~Exists(asked)).order_by().values_list("run_id", flat=True).distinct()
    return {run_id for run_id in found if run_id is not None}
