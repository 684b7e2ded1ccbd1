"""Questions that reach into the archive: which segments they need, and the log with those in it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from ..core.codec import Row
from ..core.events import (
    DECISIONS,
    OUTCOMES,
    Event,
    EventType,
    Reason,
    cron_stream,
    runner_stream,
)
from ..errors import LedgerUnavailable, PositionArchived
from ..ledger import store
from ..ledger.backend import backend_of
from ..ledger.lookup import archived_to
from ..ledger.reading import readable
from ..models import CronEvent, CronSegment
from ..seals.segments import rows_between, rows_of, segments
from .reach import LATE_SECONDS

__all__ = [
    "REQUESTS",
    "archived_events_of_run",
    "events_after",
    "rows_for_audit",
    "rows_for_slot",
    "whole_log",
]

PAGE_ROWS = 2_000
IDS_PER_QUERY = 500
"""SQLite may take no more than 999 parameters."""
MARGIN = timedelta(days=1)
"""By so much a decision may be older than its slot, where a clock was ahead."""

REQUESTS = (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)
"""What asks for a run."""
_ASKED = {item.value for item in REQUESTS}
_DECISION_VALUES = {item.value for item in DECISIONS}
_OUTCOME_VALUES = {item.value for item in OUTCOMES}
_NO_CRON = b'"cron":""'
_RUNNER = b'"stream":"' + runner_stream("").encode()


def events_after(position: int) -> Iterator[Event]:
    """Every event after the position, those in segments first, up to the end of the log as it is then.

    Raises SegmentUnavailable where a segment cannot be read; PositionArchived is never raised.
    """
    db = store.connection()
    while True:
        until = archived_to()
        for page in _pages(rows_between(position, until)):
            yield from readable(db, page).events
        position = max(position, until)
        try:
            page_of_log = store.tail(position)
        except PositionArchived:  # an archive pass was faster
            continue
        yield from page_of_log.events
        if page_of_log.position <= position:
            return
        position = page_of_log.position


@contextmanager
def whole_log(rows: Iterable[Row]) -> Iterator[None]:
    """A block in which the log has these archived rows, too; what is in the log by itself comes once.

    Nothing can be appended there. Raises LedgerUnavailable at its end where more was archived meanwhile:
    then the block may have missed something.
    """
    before = archived_to()
    db = store.connection()
    with backend_of(db).with_archived(db, _not_in_log(rows)):
        yield
    if archived_to() != before:
        raise LedgerUnavailable(
            "An archive pass moved events while the question was answered. Ask again."
        )


def archived_events_of_run(run_id: UUID) -> list[Event]:
    """What segments have of the run, in order; empty when none of them knows it.

    From the newest segment back to the one in which somebody asked for the run. Raises SegmentUnavailable.
    """
    needle, found = _run_needle(str(run_id)), list[Row]()
    for segment in segments().reverse():
        here = [row for row in rows_of(segment, needle) if row[6] == run_id.bytes]
        found[:0] = here
        if any(row[3] in _ASKED for row in here):
            break
    return readable(store.connection(), found).events


def rows_for_slot(name: str, at: datetime, *, all_later: bool = False) -> list[Row]:
    """What an explanation of this slot rests on: of the cron and of all runners, from the segment of its
    time to the one in which its run ended, and what began before. ``all_later``: to the last segment,
    because decisions were taken back. Raises SegmentUnavailable.

    Reruns that somebody asked for in a later segment are not among it.
    """
    known = list(segments())
    begin = _first_of(known, at - MARGIN)
    found = _Gathered()
    for segment in known[begin:]:
        found.add(rows_of(segment, _cron_needle(name), _NO_CRON))
        if not all_later and found.answers(name, at):
            break
    is_late = found.is_late(name, at)
    for segment in reversed(known[:begin]):
        needles = [_run_needle(str(run)) for run in found.begun_before()]
        if is_late:
            needles += [_stream_needle(stream) for stream in found.runners_before()]
            needles += [] if found.has_runner(at) else [_RUNNER]
        if not needles:
            break
        found.add(rows_of(segment, *needles))
    return list(found.rows.values())


def rows_for_audit(name: str | None, since: datetime | None) -> Iterator[Row]:
    """What an audit of one cron, or of all, rests on from this time on, with the last decision of each
    cron before it. Raises SegmentUnavailable before the first row where one of the segments is out of reach."""
    known = list(segments())
    begin = _first_of(known, since - MARGIN) if since is not None else 0
    needles = [_cron_needle(name), _NO_CRON] if name is not None else []
    waiting: set[str] = set()
    decided: set[str] = set()
    for segment in known[begin:]:
        for row in rows_of(segment, *needles):
            _note_decided(row, since, waiting, decided)
            yield row
    for segment in reversed(known[:begin]):
        waiting -= decided
        if not waiting:
            return
        older = list(rows_of(segment, *map(_cron_needle, sorted(waiting))))
        for row in older:
            _note_decided(row, since, waiting, decided)
        yield from older


def _note_decided(row: Row, since: datetime | None, waiting: set[str], decided: set[str]) -> None:
    """Of which crons the decision before that time is still to be found."""
    cron, slot = row[5], row[8]
    if since is None or not cron:
        return
    waiting.add(cron)
    first = row[2] == 1 and row[1] == cron_stream(cron)
    if first or (row[3] in _DECISION_VALUES and slot is not None and slot < since):
        decided.add(cron)


class _Gathered:
    """Rows of one question, by their ids."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}

    def add(self, rows: Iterable[Row]) -> None:
        self.rows.update((row[0], row) for row in rows)

    def decision(self, name: str, at: datetime) -> Row | None:
        """The first that ends at or after the instant."""
        own = [
            row
            for row in self.rows.values()
            if row[3] in _DECISION_VALUES
            and row[1] == cron_stream(name)
            and row[8]
            and row[8] >= at
        ]
        return min(own, key=lambda row: (row[8], row[0]), default=None)

    def answers(self, name: str, at: datetime) -> bool:
        decision = self.decision(name, at)
        if decision is None:
            return False
        if decision[9] == Reason.SUPERSEDED:
            return any(
                row[3] == EventType.SLOT_FIRED
                and row[1] == cron_stream(name)
                and row[8] > decision[8]
                for row in self.rows.values()
                if row[8] is not None and decision[8] is not None
            )
        run = decision[6]
        return run is None or any(
            row[6] == run and row[3] in _OUTCOME_VALUES for row in self.rows.values()
        )

    def is_late(self, name: str, at: datetime) -> bool:
        decision = self.decision(name, at)
        if decision is None or decision[3] != EventType.SLOT_FIRED or decision[11] is None:
            return True
        return (decision[11] - at).total_seconds() >= LATE_SECONDS

    def begun_before(self) -> set[UUID]:
        """Runs of which nothing says who asked for them."""
        asked = {row[6] for row in self.rows.values() if row[3] in _ASKED}
        runs = {row[6] for row in self.rows.values() if row[6] is not None} - asked
        found = {UUID(bytes=run) for run in runs if run is not None}
        return found - _in_log(found)

    def has_runner(self, at: datetime) -> bool:
        """Whether something tells of runners before the instant."""
        return any(_is_runner(row) and row[11] and row[11] <= at for row in self.rows.values())

    def runners_before(self) -> set[str]:
        """Streams of runners whose start is not there."""
        streams = {row[1]: row[2] for row in reversed(self.rows.values()) if _is_runner(row)}
        begun = {row[1] for row in self.rows.values() if _is_runner(row) and row[2] == 1}
        missing = sorted(streams.keys() - begun)
        there = CronEvent.objects.using(store.connection().alias).filter(version=1)
        return set(missing) - {
            stream
            for start in range(0, len(missing), IDS_PER_QUERY)
            for stream in there.filter(
                stream__in=missing[start : start + IDS_PER_QUERY]
            ).values_list("stream", flat=True)
        }


def _is_runner(row: Row) -> bool:
    return row[1].startswith(runner_stream(""))


def _in_log(run_ids: Collection[UUID]) -> set[UUID]:
    """Those that the log asked for by itself."""
    wanted, found = list(run_ids), set[UUID]()
    rows = CronEvent.objects.using(store.connection().alias).filter(type__in=sorted(_ASKED))
    for start in range(0, len(wanted), IDS_PER_QUERY):
        some = rows.filter(run_id__in=wanted[start : start + IDS_PER_QUERY]).order_by()
        found |= {run for run in some.values_list("run_id", flat=True) if run is not None}
    return found


def _not_in_log(rows: Iterable[Row]) -> Iterator[list[Row]]:
    events = CronEvent.objects.using(store.connection().alias).order_by()
    for page in _pages(rows, IDS_PER_QUERY):
        there = set(events.filter(id__in=[row[0] for row in page]).values_list("id", flat=True))
        yield [row for row in page if row[0] not in there]


def _pages(rows: Iterable[Row], size: int = PAGE_ROWS) -> Iterator[list[Row]]:
    left = iter(rows)
    while page := list(islice(left, size)):
        yield page


def _first_of(known: Sequence[CronSegment], since: datetime) -> int:
    """The first segment that has events of this time or later."""
    for index, segment in enumerate(known):
        if segment.occurred_to is None or segment.occurred_to >= since:
            return index
    return len(known)


def _cron_needle(name: str) -> bytes:
    return b'"cron":' + json.dumps(name, ensure_ascii=False).encode() + b","


def _run_needle(run_id: str) -> bytes:
    return b'"run_id":"' + run_id.encode()


def _stream_needle(stream: str) -> bytes:
    return b'"stream":' + json.dumps(stream, ensure_ascii=False).encode()
