"""The crons as they were at an instant.

What had occurred by then counts, even if it was written later: a worker that could not reach the
database notes its outcome afterwards, with the true time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Max

from rqcron_events.archive.reading import log_between
from rqcron_events.core.codec import Row
from rqcron_events.core.events import Event
from rqcron_events.ledger import quarantine, store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.reading import readable, readable_rows
from rqcron_events.models import CronEvent, CronEventQuerySet

from ..fold_failed import reader_of
from ..folds import crons
from ..folds.cron_status import as_of
from ..models import CronJob, CronJobPast
from ..rows import column_names, row_maker
from ..stored_rows import StoredRows
from .kept import standing

__all__ = ["state_at"]

EVENTS_PER_QUERY = 5_000
_COLUMNS = column_names(CronJob)
_new_job = row_maker(CronJob)


class _Start(NamedTuple):
    """Where the fold begins."""

    rows: dict[str, CronJob]
    later: dict[str, int]
    """Crons of which something up to the position had not occurred yet, and from where to fold
    their own events."""
    ranges: list[tuple[int, int]]
    """``(after, until]``: all that lies behind the rows and may have occurred by then."""


def state_at(instant: datetime, names: Collection[str] | None = None) -> list[CronJob]:
    """The crons as they were at ``instant``, by name: unsaved rows, folded in memory.

    Counts what had occurred by then, even if it was written later; leaves out, as the rows of today
    do, what could not be read or folded. With ``names``, only the events of those crons are read. Raises
    SegmentUnavailable where archived events are needed that are out of reach.
    """
    start = _start(instant, names)
    without = {row.event_id for row in quarantine.quarantined(reader_of(crons.NAME))}
    rows, folded = start.rows, set()
    begin = min([*(after for after, _ in start.ranges), *start.later.values()])
    with log_between(begin, start.ranges[-1][1]):
        for event in _events(start, instant, names):
            if event.id in without:
                continue
            for row in crons.apply(rows.get(event.cron), event):
                if isinstance(row, CronJob):
                    rows[row.name] = row
                    folded.add(row.name)
    for name in folded:
        crons.complete(rows[name])
    return [as_of(rows[name], instant) for name in sorted(rows)]


def _start(instant: datetime, names: Collection[str] | None) -> _Start:
    known = standing()
    begin = max((item.position for item in known if item.latest_at <= instant), default=0)
    rows, early = _kept_at(begin, instant, names) if begin else ({}, set())
    if not rows and not early:
        begin = 0  # should a rebuild have taken them away meanwhile
    later = dict.fromkeys(early, 0)
    for past in _kept_before(begin, instant, early) if early else ():
        rows[past.name], later[past.name] = _job(past), past.position
    ranges = [
        (max(item.after, begin), item.position)
        for item in known
        if item.position > begin and item.earliest_at <= instant
    ]
    ranges.append((max((item.position for item in known), default=0), _newest_id()))
    return _Start(rows, later, ranges)


def _kept_at(
    position: int, instant: datetime, names: Collection[str] | None
) -> tuple[dict[str, CronJob], set[str]]:
    """Rows, and the names of those that tell of something that had not occurred yet."""
    found = CronJobPast.objects.using(store.connection().alias).filter(position=position)
    if names is not None:
        found = found.filter(name__in=names)
    rows: dict[str, CronJob] = {}
    early: set[str] = set()
    for past in _load(list(found.values_list("key", flat=True))):
        if past.latest_at <= instant:
            rows[past.name] = _job(past)
        else:
            early.add(past.name)
    return rows, early


def _kept_before(position: int, instant: datetime, names: Collection[str]) -> list[CronJobPast]:
    """The newest rows of these crons that can be used."""
    found = CronJobPast.objects.using(store.connection().alias)
    usable = found.filter(name__in=names, position__lt=position, latest_at__lte=instant)
    newest = usable.order_by().values_list("name").annotate(Max("position"))
    return _load([f"{at}/{name}" for name, at in newest])


def _load(keys: Collection[str]) -> list[CronJobPast]:
    """Past Django, which takes ten times as long to make a row."""
    rows = StoredRows(CronJobPast, CronJobPast).load(keys).values()
    return [row for row in rows if isinstance(row, CronJobPast)]


def _events(start: _Start, instant: datetime, names: Collection[str] | None) -> Iterator[Event]:
    """All that the fold needs, and more; of one cron in the order of the log."""
    rows = CronEvent.objects.using(store.connection().alias).filter(occurred_at__lte=instant)
    for after, until in _joined(start.ranges):
        found = (
            _read(after, until, instant)
            if names is None
            else _select(rows.filter(cron__in=names, id__gt=after, id__lte=until))
        )
        yield from (event for event in found if event.cron not in start.later)
    if start.later:
        for event in _select(rows.filter(cron__in=start.later)):
            if (event.id or 0) > start.later[event.cron]:
                yield event


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for after, until in ranges:
        begin = joined.pop()[0] if joined and joined[-1][1] == after else after
        joined.append((begin, until))
    return joined


def _read(after: int, until: int, instant: datetime) -> Iterator[Event]:
    db = store.connection()
    while after < until:
        rows = backend_of(db).read(db, after, until, EVENTS_PER_QUERY)
        yield from readable(db, [row for row in rows if _counts(row, instant)]).events
        after = rows[-1][0] if len(rows) == EVENTS_PER_QUERY else until


def _counts(row: Row, instant: datetime) -> bool:
    cron, occurred_at = row[5], row[11]
    return bool(cron) and occurred_at is not None and occurred_at <= instant


def _select(rows: CronEventQuerySet) -> Iterator[Event]:
    after = 0
    while True:
        found = readable_rows(
            rows.filter(id__gt=after).order_by("id")[:EVENTS_PER_QUERY], store.connection()
        )
        yield from found.events
        read = [event.id or 0 for event in found.events]
        read += [item.id for item in found.unreadable]
        if len(read) < EVENTS_PER_QUERY:
            return
        after = max(read)


def _newest_id() -> int:
    rows = CronEvent.objects.using(store.connection().alias)
    return rows.order_by("-id").values_list("id", flat=True).first() or 0


def _job(past: CronJobPast) -> CronJob:
    values: Mapping[str, object] = past.__dict__
    return _new_job(**{name: values[name] for name in _COLUMNS})
