"""When runners were alive, and when none was, from the runners' own events and heartbeats."""

from __future__ import annotations

from datetime import datetime

from ..conf import conf
from ..core.downtime import Downtime, DowntimeCause
from ..core.events import RUNNER_TYPES, Event, EventType, runner_stream
from ..core.events.keys import LAST_HEARTBEAT, ONCE
from ..models import CronEvent
from .calls import newest_calls
from .lease import Lease

__all__ = ["downtime_at"]

EVENTS_LOOKED_AT_MAX = 500
"""On each side of the instant; many runners that restart for days still fit."""


def downtime_at(instant: datetime) -> tuple[Downtime | None, list[Event]]:
    """The downtime around an instant, None when some runner was alive, and the events that tell.

    These are what the last runner before the instant did or what was said of it, and the start of
    the next one.
    """
    rows = CronEvent.objects.using(conf().database).filter(type__in=RUNNER_TYPES)
    before = rows.filter(occurred_at__lte=instant).order_by("-occurred_at", "-id")
    after = rows.filter(occurred_at__gt=instant).order_by("occurred_at", "id")
    earlier = [row.fact() for row in before[:EVENTS_LOOKED_AT_MAX]][::-1]
    later = [row.fact() for row in after[:EVENTS_LOOKED_AT_MAX]]
    ends: dict[str, datetime | None] = {}
    told_by: dict[str, Event] = {}
    for event in earlier:
        ends[event.stream] = None if event.type is EventType.RUNNER_STARTED else _end(event)
        told_by[event.stream] = event
    for event in later:
        # A loss is noticed, and recorded, after the fact.
        if ends.get(event.stream, event) is None and event.type is not EventType.RUNNER_STARTED:
            ends[event.stream] = _end(event)
            told_by[event.stream] = event
    if any(end is None for end in ends.values()):
        # A loss is recorded by another runner: while there is none, only the heartbeat tells.
        for lost in Lease("").lost_runners():
            stream = runner_stream(lost.id)
            if ends.get(stream, instant) is None:
                ends[stream] = lost.last_heartbeat
    if any(end is None or end > instant for end in ends.values()):
        return None, []
    known = {stream: end for stream, end in ends.items() if end is not None}
    last = max(known, key=known.__getitem__, default=None)
    start = next((event for event in later if event.type is EventType.RUNNER_STARTED), None)
    since, until = known[last] if last else None, start.occurred_at if start else None
    called = [event for event in earlier if event.stream == last and event.data.get(ONCE)]
    by = str(called[-1].data[ONCE]) if called else ""
    evidence = [told_by.get(last) if last else None, start]
    found = [event for event in evidence if event is not None]
    if by and (start.data.get(ONCE) if start else _is_called_still()):
        return Downtime(since, until, DowntimeCause.BETWEEN_CALLS, by), found
    return Downtime(since, until), found


def _is_called_still() -> bool:
    calls = newest_calls()
    return calls is not None and not calls.is_overdue


def _end(event: Event) -> datetime:
    return event.parsed_time(LAST_HEARTBEAT) or event.occurred_at
