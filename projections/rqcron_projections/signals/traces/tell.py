"""A page of the log: what is told of it, and then the new position. What is told again has the same ids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import QuerySet

from rqcron_events import clock
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.events.trace_ids import is_sampled
from rqcron_events.errors import LogWentBack, PositionArchived
from rqcron_events.ledger import store
from rqcron_events.ledger.snapshot import MARKS_MAX, LogMark, marks_up_to

from ...models import Checkpoint
from ...projector import history_is_lost
from .conf import TraceConf
from .history import crons_of, runs_of
from .spans import OfCron, SpanData, spans_of_run, spans_of_slots

__all__ = ["NotTaken", "checkpoint", "tell_page"]

log = logging.getLogger(__name__)

NAME = "traces"
"""Of the checkpoint."""
UNFIRED = (EventType.SLOT_SKIPPED, EventType.SLOT_MISSED)

Export = Callable[[Sequence[SpanData]], bool]


class NotTaken(Exception):
    """The exporter did not take the spans of a page; the position stays before it."""


def checkpoint() -> Checkpoint | None:
    return _points().first()


def tell_page(conf: TraceConf, export: Export, events_max: int) -> int:
    """Tell of the next page; how many events it has: 0 when nothing is left.

    The first time, and after the log went back, it begins where the log ends now. Raises NotTaken and
    Django's database errors.
    """
    point = checkpoint()
    if point is None or history_is_lost(point):
        return _begin()
    try:
        page = store.tail(point.position, events_max)
    except (LogWentBack, PositionArchived):  # what is so old is history
        return _begin()
    if page.position == point.position:
        return 0
    _hand_over(export, _spans(page.events, conf))
    seen = [LogMark.of(event).to_data() for event in page.events[-MARKS_MAX:]]
    _points().filter(position=point.position).update(
        position=page.position,
        marks=[*point.marks, *seen][-MARKS_MAX:],
        updated_at=clock.now(),
    )
    return len(page.events)


def _points() -> QuerySet[Checkpoint]:
    return Checkpoint.objects.using(store.connection().alias).filter(name=NAME)


def _hand_over(export: Export, spans: Sequence[SpanData]) -> None:
    try:
        taken = export(spans)
    except Exception as error:  # its text may hold what gives access to the collector
        raise NotTaken(f"the exporter raised {type(error).__name__}") from None
    if not taken:
        raise NotTaken("the exporter did not take them")


def _begin() -> int:
    position = store.fence()
    if position is None:
        return 0  # a writer holds a transaction open; the next call asks again
    marks = [mark.to_data() for mark in marks_up_to(position)]
    values = {"version": 1, "position": position, "marks": marks, "updated_at": clock.now()}
    _points().update_or_create(name=NAME, defaults=values)
    log.info(
        "Traces are told from event %d on.",
        position,
        extra={"action": "traces_begin", "position": position},
    )
    return 0


def _spans(events: Sequence[Event], conf: TraceConf) -> list[SpanData]:
    wanted = [event for event in events if _is_told(event, conf)]
    oldest = clock.now() - timedelta(seconds=conf.max_age_seconds)
    fresh = [event for event in wanted if _at(event) >= oldest]
    if len(fresh) < len(wanted):
        log.warning(
            "Traces: %d runs and decisions are too old to be told of.",
            len(wanted) - len(fresh),
            extra={"action": "traces_too_old", "left_out": len(wanted) - len(fresh)},
        )
    crons = crons_of(event.cron for event in fresh)
    ended = {event.run_id for event in fresh if event.type in OUTCOMES and event.run_id}
    runs = runs_of(ended, events)
    found: list[SpanData] = []
    for event in fresh:
        try:
            run = runs.get(event.run_id, []) if event.run_id else []
            found += _spans_of(event, run, crons[event.cron])
        except Exception as error:  # what one event holds stops no other
            log.error(
                "Traces: event %s is left out (%s: %s).",
                event.id,
                type(error).__name__,
                error,
                extra={"action": "trace_not_made", "event": event.id, "run_id": str(event.run_id)},
            )
    return found


def _spans_of(event: Event, run: Sequence[Event], cron: OfCron) -> list[SpanData]:
    if event.type in UNFIRED:
        return spans_of_slots(event, cron)
    first = next((other for other in run if other.type in OUTCOMES), None)
    if first is None or first.id != event.id:
        return []  # the first word stands
    return spans_of_run(run, cron)


def _is_told(event: Event, conf: TraceConf) -> bool:
    if event.type in OUTCOMES and event.run_id:
        return is_sampled(event.run_id, conf.ratio)
    if event.type in UNFIRED and event.scheduled_for:
        return is_sampled(run_id_for_slot(event.cron, event.scheduled_for), conf.ratio)
    return False


def _at(event: Event) -> datetime:
    return event.recorded_at or event.occurred_at
