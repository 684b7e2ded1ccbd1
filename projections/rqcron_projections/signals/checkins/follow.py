"""Follows the log: what monitors are to be told, and the position, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from rqcron_events import clock
from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.events.keys import SPOOLED
from rqcron_events.errors import LogWentBack
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from ...models import Checkpoint
from ...projector import history_is_lost
from ..jobs import jobs_of
from ..position import checkpoint, move, position_of, save_new
from . import outbox
from .conf import monitors
from .courier import tend, wake
from .fold import EVENT_TYPES, rows_of

__all__ = ["NAME", "follow", "position"]

log = logging.getLogger(__name__)

NAME = "checkins"
"""Of the checkpoint."""
VERSION = 1
PAGE_EVENTS_MAX = 2_000
TEND_SECONDS = 10.0
"""How often ``follow`` looks at what waits for long."""

_tended_at: list[datetime] = []
"""When this process did last."""
_at_end: list[Any] = []
"""The newest event, when this process had read all and looked last."""


def follow() -> int:
    """Read a page of the log, and wake the courier; returns the number of events. Several processes may
    call it: a page counts for the one who moves the checkpoint.

    Raises CronConfigError, and Django's database errors.
    """
    now, newest, read = clock.now(), store.newest(), 0
    tends = not _tended_at or not 0 <= (now - _tended_at[-1]).total_seconds() < TEND_SECONDS
    if tends or _at_end != [newest]:  # an idle log is asked for its newest event only
        read, point = _read(), checkpoint(NAME)
        _at_end[:] = [newest] if point is not None and newest.id <= point.position else []
    if tends:
        _tended_at[:] = [now]
        for monitor in monitors().values():
            tend(monitor)
        outbox.prune(now, monitors())
    wake()
    return read


def position() -> int:
    """The id of the last event that was read; before the first call, that of the projections."""
    return position_of(NAME)


def _read() -> int:
    point = checkpoint(NAME)
    if point is None or history_is_lost(point):
        return int(_begin(point))
    try:
        page = store.tail(point.position, PAGE_EVENTS_MAX, texts=False)
    except LogWentBack:
        return int(_begin(point))
    if page.position == point.position:
        return 0
    wanted = _without_late_begins(
        [event for event in page.events if event.type in EVENT_TYPES and event.cron]
    )
    now = clock.now()
    with transaction.atomic(using=store.connection().alias):
        if not move(point, page.position, page.events, now):
            return 0  # another process has read it
        jobs = jobs_of({event.cron for event in wanted})
        outbox.put(rows_of(wanted, monitors().values(), jobs, now))
    return len(page.events)


def _without_late_begins(events: Sequence[Event]) -> list[Event]:
    """A start that waited for the database may be written after the end of its run, and then tells nothing
    any more."""
    late = {
        event.run_id: event.id or 0
        for event in events
        if event.type is EventType.RUN_STARTED and SPOOLED in event.data
    }
    if not late:
        return list(events)
    ends = CronEvent.objects.using(store.connection().alias).filter(
        run_id__in=late, type__in=OUTCOMES
    )
    ended = {run_id for run_id, ident in ends.values_list("run_id", "id") if ident < late[run_id]}
    return [
        event
        for event in events
        if event.type is not EventType.RUN_STARTED or event.run_id not in ended
    ]


def _begin(before: Checkpoint | None) -> bool:
    """For the first time, and after the log went back: at the log's end. What was before is history, and
    nobody is told of it. False when another process has begun, or a writer keeps the end open."""
    end = store.fence()
    if end is None or not save_new(NAME, VERSION, end, clock.now(), before):
        return False
    log.info(
        "Check-ins read the log from event %d on.",
        end,
        extra={"action": "checkins_begin", "position": end},
    )
    return True
