"""When runners were alive, and when none was, from the runners' own events and heartbeats."""

from __future__ import annotations

from datetime import datetime

from .conf import conf
from .core.events import RUNNER_TYPES, Event, EventType, runner_stream
from .core.explain import Downtime
from .lease import Lease
from .models import CronEvent

__all__ = ["downtime_at"]

EVENTS_LOOKED_AT_MAX = 500
"""On each side of the instant; many runners that restart for days still fit."""


def downtime_at(instant: datetime) -> Downtime | None:
    """The downtime around an instant, or None when some runner was alive."""
    rows = CronEvent.objects.using(conf().database).filter(type__in=RUNNER_TYPES)
    before = rows.filter(occurred_at__lte=instant).order_by("-occurred_at", "-id")
    after = rows.filter(occurred_at__gt=instant).order_by("occurred_at", "id")
    earlier = [row.to_event() for row in before[:EVENTS_LOOKED_AT_MAX]][::-1]
    later = [row.to_event() for row in after[:EVENTS_LOOKED_AT_MAX]]
    ends: dict[str, datetime | None] = {}
    for event in earlier:
        ends[event.stream] = None if event.type is EventType.RUNNER_STARTED else _end(event)
    for event in later:
        # A loss is noticed, and recorded, after the fact.
        if ends.get(event.stream, event) is None and event.type is not EventType.RUNNER_STARTED:
            ends[event.stream] = _end(event)
    if any(end is None for end in ends.values()):
        # A loss is recorded by another runner: while there is none, only the heartbeat tells.
        for lost in Lease("").lost_runners():
            stream = runner_stream(lost.id)
            if ends.get(stream, instant) is None:
                ends[stream] = lost.last_heartbeat
    if any(end is None or end > instant for end in ends.values()):
        return None
    starts = [event.occurred_at for event in later if event.type is EventType.RUNNER_STARTED]
    known = [end for end in ends.values() if end is not None]
    return Downtime(max(known, default=None), min(starts, default=None))


def _end(event: Event) -> datetime:
    return event.parsed_time("last_heartbeat") or event.occurred_at
