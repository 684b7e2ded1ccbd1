"""Archived events by what somebody wants to see of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from heapq import nlargest
from itertools import islice
from uuid import UUID

from ..core.events import Event
from ..ledger import store
from ..ledger.reading import readable
from ..models import CronSegment, put_back
from ..seals.segments import rows_of, segments
from .needles import cron_needle, run_needle

__all__ = ["matching", "with_newest_archived"]

PAGE_ROWS = 2_000


def matching(
    matches: Callable[[Event], bool],
    *,
    cron: str = "",
    run_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Event]:
    """All archived events for which ``matches`` holds, in the order of their ids. What else is given leaves out
    segments and lines without looking further. Raises SegmentUnavailable."""
    for segment in _between(since, until):
        yield from _of(segment, matches, cron, run_id)


def with_newest_archived(
    known: Collection[Event],
    limit: int,
    matches: Callable[[Event], bool],
    *,
    cron: str = "",
    run_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Event]:
    """The ``limit`` events that occurred last among the known ones, which the log has, and the archived ones;
    the newest first. Raises SegmentUnavailable."""
    found = {event.id: event for event in known}
    left = _between(since, until)
    while left:
        segment = left.pop()
        oldest = min((event.occurred_at for event in found.values()), default=None)
        newest_at = segment.occurred_to
        if len(found) >= limit and newest_at and oldest and newest_at < oldest:
            continue
        for event in _of(segment, matches, cron, run_id):
            found.setdefault(event.id, event)
        newest = nlargest(limit, found.values(), key=_time)
        found = {event.id: event for event in newest}
    return sorted(found.values(), key=_time, reverse=True)


def _time(event: Event) -> tuple[datetime, int]:
    return event.occurred_at, event.id or 0


def _between(since: datetime | None, until: datetime | None) -> list[CronSegment]:
    found = segments()
    if since is not None:
        found = found.exclude(occurred_to__lt=since)
    if until is not None:
        found = found.exclude(occurred_from__gte=until)
    return list(found)


def _of(
    segment: CronSegment, matches: Callable[[Event], bool], cron: str, run_id: UUID | None
) -> Iterator[Event]:
    needles = [run_needle(str(run_id))] if run_id is not None else []
    needles = needles or ([cron_needle(cron)] if cron else [])
    rows = rows_of(segment, *needles)
    while page := list(islice(rows, PAGE_ROWS)):
        db = store.connection()
        yield from put_back(db.alias, filter(matches, readable(db, page).events))
