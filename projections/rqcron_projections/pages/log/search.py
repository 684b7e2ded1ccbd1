"""Finding events, newest first, in a time that does not grow with the log.

Where an index leads along what is wanted, only the page is read. Anything else is compared within the
newest 10,000 events on that way; the page then says how far back that was, and the next one goes on from
there. Nothing is ever counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, DataError
from django.db.models import Q

from rqcron_events.conf import conf
from rqcron_events.core.codec import Unreadable, decode_readable
from rqcron_events.core.events import DECISIONS, DEFINITION_TYPES, Event, EventType, cron_stream
from rqcron_events.errors import UnreadableEvent
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronEventQuerySet

__all__ = [
    "LOOKED_AT_MAX",
    "Found",
    "Line",
    "Place",
    "Wanted",
    "begin",
    "line_of",
    "newer_than",
    "search",
]

PAGE_EVENTS = 50
LOOKED_AT_MAX = 10_000
"""Events of one cron lie far apart in the table, so each may cost a block of the disk."""
TAIL_EVENTS_MAX = 500
WAYS_MAX = 12
EARLIEST = datetime.min.replace(tzinfo=UTC)

Line = Event | Unreadable

_OF_EVERY_RUN = frozenset(
    {EventType.SLOT_FIRED, EventType.RUN_ENQUEUED, EventType.RUN_STARTED},
)
"""No index has these types: they are everywhere."""
_WITH_SLOT = (*sorted(DECISIONS), EventType.RUN_REQUESTED)


class Place(NamedTuple):
    """A place in the log, in the order in which events occurred: what comes next is before it."""

    occurred_at: datetime
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the columns of the events have to say; empty: anything."""

    cron: str = ""
    """Its stored name."""
    types: frozenset[str] = frozenset()
    run_id: UUID | None = None
    slot: datetime | None = None
    """Of one cron only: ``cron`` has to be given, too."""
    attempt: int | None = None
    stream: str = ""
    reason: str = ""
    """A part of it, in any case."""
    actor: str = ""
    """Its beginning."""
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, line: Line) -> bool:
        """The same question to a line that is known already. One that cannot be read matches by what
        is known of it."""
        at = line.occurred_at
        if self.since and (at is None or at < self.since):
            return False
        if self.until and (at is None or at >= self.until):
            return False
        return (
            (not self.cron or line.cron == self.cron)
            and (not self.types or line.type in self.types)
            and (self.run_id is None or line.run_id == self.run_id)
            and (not self.stream or line.stream == self.stream)
            and self._texts_match(line)
        )

    def _texts_match(self, line: Line) -> bool:
        if not isinstance(line, Event):
            return not (self.slot or self.attempt is not None or self.reason or self.actor)
        return (
            (self.slot is None or line.scheduled_for == self.slot)
            and (self.attempt is None or line.attempt == self.attempt)
            and self.reason.casefold() in line.reason.casefold()
            and line.actor.startswith(self.actor)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of events."""

    lines: list[Line]
    older: Place | None
    """Where the next page begins; None: there is none."""
    looked_back_to: datetime | None = None
    """Only so far were events compared, though the page is not full."""


def search(wanted: Wanted, before: Place | None = None) -> Found:
    """The newest events that match, of those before a place."""
    ways, rest = _ways(wanted)
    if before is not None:
        ways = [_before(way, before) for way in ways]
    bound = _bound(ways) if rest else None
    if bound is not None:
        ways = [way.filter(occurred_at__gte=bound) for way in ways]
    lines = [line for way in ways for line in _lines(way.filter(rest))]
    if len(ways) > 1:
        lines.sort(key=_place, reverse=True)
    if len(lines) > PAGE_EVENTS:
        lines = lines[:PAGE_EVENTS]
        return Found(lines=lines, older=_place(lines[-1]))
    older = Place(bound, 0) if bound is not None else None
    return Found(lines=lines, older=older, looked_back_to=bound)


def begin() -> int:
    """The position for :func:`newer_than` that is behind everything that is committed now. Where a
    writer stays too long, the newest event's: what that writer still commits is not told."""
    safe = store.fence()
    if safe is not None:
        return safe
    rows = CronEvent.objects.using(conf().database).order_by("-id")
    return rows.values_list("id", flat=True).first() or 0


def line_of(event_id: int) -> Line | None:
    """One event."""
    rows = CronEvent.objects.using(conf().database).filter(id=min(event_id, 2**63 - 1))
    return next(iter(_lines(rows)), None)


def newer_than(position: int, wanted: Wanted) -> tuple[list[Line], int]:
    """What was committed behind a position and matches, oldest first; and the position to go on from.

    At most 500 events are looked at. None is missed, as ``ledger.store.tail`` says, which waits a
    moment for a writer that holds ids. Raises PositionAhead when the log went back.
    """
    page = store.tail(position, TAIL_EVENTS_MAX)
    lines: list[Line] = sorted([*page.events, *page.unreadable], key=lambda line: line.id or 0)
    return [line for line in lines if wanted.matches(line)], page.position


def _ways(wanted: Wanted) -> tuple[list[CronEventQuerySet], Q]:
    """Ways on which an index leads, newest first, and what is left to compare there. Where few events
    lie on a way, all conditions are in it."""
    rows = CronEvent.objects.using(conf().database).between(wanted.since, wanted.until)
    few = _few(rows, wanted)
    if few is not None:
        return [few.filter(_rest(wanted))], Q()
    if wanted.cron:
        return [rows.for_cron(wanted.cron)], _rest(wanted, without=("cron",))
    indexed = 0 < len(wanted.types) <= WAYS_MAX and not wanted.types & _OF_EVERY_RUN
    if indexed:
        ways = [rows.of_type(kind) for kind in sorted(wanted.types)]
        return ways, _rest(wanted, without=("type",))
    return [rows], _rest(wanted)


def _few(rows: CronEventQuerySet, wanted: Wanted) -> CronEventQuerySet | None:
    """The events of one run, one slot, one stream that is no cron's, or of a cron's definitions."""
    if wanted.run_id is not None:
        return rows.for_run(wanted.run_id)
    if wanted.stream and not wanted.stream.startswith(cron_stream("")):
        return rows.filter(stream=wanted.stream)
    if wanted.cron and wanted.slot is not None:
        return rows.for_cron(wanted.cron).filter(type__in=_WITH_SLOT, scheduled_for=wanted.slot)
    if wanted.cron and wanted.types and wanted.types <= set(DEFINITION_TYPES):
        return rows.for_cron(wanted.cron)
    return None


def _rest(wanted: Wanted, without: Iterable[str] = ()) -> Q:
    conditions: dict[str, tuple[str, object]] = {
        "cron": ("cron", wanted.cron),
        "type": ("type__in", sorted(wanted.types)),
        "run": ("run_id", wanted.run_id),
        "slot": ("scheduled_for", wanted.slot),
        "attempt": ("attempt", wanted.attempt),
        "stream": ("stream", wanted.stream),
        "reason": ("reason__icontains", wanted.reason),
        "actor": ("actor__startswith", wanted.actor),
    }
    found = Q()
    for name, (field, value) in conditions.items():
        if name not in without and value not in ("", None, []):
            found &= Q(**{field: value})
    return found


def _before(way: CronEventQuerySet, place: Place) -> CronEventQuerySet:
    # The first condition is for the index; the second is about events of the same instant.
    return way.filter(occurred_at__lte=place.occurred_at).filter(
        Q(occurred_at__lt=place.occurred_at) | Q(id__lt=place.id)
    )


def _bound(ways: list[CronEventQuerySet]) -> datetime | None:
    """How far back the newest events of all ways reach; None: they are all there is."""
    each = LOOKED_AT_MAX // len(ways)
    found: list[datetime] = []
    for way in ways:
        times = way.order_by("-occurred_at").values_list("occurred_at", flat=True)
        found += times[each : each + 1]
    return max(found, default=None)


def _lines(way: CronEventQuerySet) -> list[Line]:
    rows = way.order_by("-occurred_at", "-id")[: PAGE_EVENTS + 1]
    try:
        return [_line(row) for row in rows]
    except Exception as error:  # a driver raises anything for what it cannot convert
        if isinstance(error, DatabaseError) and not isinstance(error, DataError):
            raise
    db = store.connection()
    ids = list(rows.values_list("id", flat=True))
    events, unreadable = decode_readable(backend_of(db).read_ids(db, ids))
    lines: list[Line] = [*events, *unreadable]
    known = {line.id: line for line in lines}
    return [known[id_] for id_ in ids if id_ in known]


def _line(row: CronEvent) -> Line:
    try:
        return row.fact()
    except UnreadableEvent as error:
        return Unreadable(
            id=row.id,
            stream=row.stream,
            version=row.version,
            type=row.type,
            cron=row.cron,
            run_id=row.run_id,
            error=str(error.__cause__ or error),
            occurred_at=row.occurred_at,
        )


def _place(line: Line) -> Place:
    return Place(line.occurred_at or EARLIEST, line.id or 0)
