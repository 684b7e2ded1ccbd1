"""The page of one cron."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.http import HttpResponse

from rqcron_events.core.definition import Definition
from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.schedule import Schedule
from rqcron_events.core.wording import shower_in, shown
from rqcron_events.errors import UnknownCron
from rqcron_events.ledger.cron_states import global_pauses
from rqcron_events.ledger.lookup import stored_name, unknown_cron_text

from ...folds.cron_status import RETIRED
from ...models import CronDay, CronJob
from ..crons.rows import rows_of
from ..frame.frame import Frame
from ..frame.links import name_of
from ..frame.rows_end import note_where_log_begins, note_where_rows_end
from ..slots.between import slots_between
from ..slots.entries import Entry
from .happenings import Happening, happenings
from .history import history_of
from .measures import plots
from .requests import Asked, asked_between
from .timeline import timeline
from .upcoming import due_next
from .window import ZOOMS, Window

__all__ = ["cron_page"]

ROWS_MAX = 100
"""Slots in the table beside the timeline."""


def cron_page(frame: Frame, cron: str) -> HttpResponse:
    job = _job(frame, name_of(cron))
    zone = frame.zones.of(job.timezone)
    show = shower_in(zone)
    definition = _definition(job)
    window = Window.of(frame.request.GET, _schedule(definition), frame.now)
    history = history_of(job.name)
    all_pauses = global_pauses()
    slots = slots_between(
        job.name,
        history.stretches,
        window.start,
        window.end,
        now=frame.now,
        watermark=job.last_slot,
        messages=frame.sees_runs,
    )
    note_where_log_begins(frame, window.start)
    note_where_rows_end(frame, window.start)
    days = _days(frame, job.name, window) if slots.is_too_many else []
    asked = asked_between(job.name, window.start, window.end)
    happened = happenings(history, all_pauses.pauses, window, frame.now, show)
    requested = [_asked(item, frame, window) for item in asked]
    drawn = timeline(
        slots.entries, days, [*happened, *requested], window, frame.url("slot_at", job.name), show
    )
    everything = all_pauses.in_force(frame.now)
    (row,) = rows_of([job], frame, everything)
    in_force = [*_own_pause(job), *([everything] if everything else [])]
    in_force_definition = None if job.status == RETIRED else definition
    return frame.render(
        "rqcron/cron.html",
        {
            "row": row,
            "job": job,
            "window": window,
            "zooms": [(name, window.zoomed(name)) for name in ZOOMS],
            "timeline": drawn,
            "ticks": [(drawn.axis.x(tick.at), tick) for tick in window.ticks(zone)],
            "now_x": drawn.axis.x(frame.now) if window.start <= frame.now < window.end else None,
            "plots": plots(slots.entries, days, drawn.axis, show),
            "slots": _newest(slots.entries),
            "slots_left_out": max(len(slots.entries) - ROWS_MAX, 0),
            "days": days,
            "happened": happened,
            "history": history,
            "due": due_next(in_force_definition, frame.now, in_force, show),
            "asked": asked,
        },
        title=shown(row.name),
    )


def _job(frame: Frame, name: str) -> CronJob:
    rows = CronJob.objects.using(frame.alias)
    job = rows.filter(name=name).first() or rows.filter(name=stored_name(name)).first()
    if job is None:
        raise UnknownCron(unknown_cron_text(name))
    return job


def _definition(job: CronJob) -> Definition | None:
    try:
        return Definition.from_data(job.definition)
    except (ValueError, TypeError, KeyError):  # of a newer release
        return None


def _schedule(definition: Definition | None) -> Schedule | None:
    try:
        return definition.schedule if definition else None
    except ValueError:  # of a zone that this machine does not know
        return None


def _days(frame: Frame, name: str, window: Window) -> list[CronDay]:
    """The day of a slot is that of its zone, which may begin a day earlier or later."""
    rows = CronDay.objects.using(frame.alias).filter(cron=name)
    day = timedelta(days=1)
    between = ((window.start - day).date(), (window.end + day).date())
    return list(rows.filter(day__range=between).order_by("day"))


def _own_pause(job: CronJob) -> list[Pause]:
    if job.paused_at is None:
        return []
    return [
        Pause(
            since=job.paused_at,
            until=job.paused_until,
            reason=job.pause_reason,
            actor=job.paused_by,
        )
    ]


def _asked(item: Asked, frame: Frame, window: Window) -> Happening:
    """At its slot, where that is shown."""
    inside = item.slot is not None and window.start <= item.slot < window.end
    status = f", {item.run.status}" if item.run else ""
    return Happening(
        kind="asked for",
        start=item.slot if inside and item.slot else item.at,
        words=f"{item.trigger} by {item.actor or 'somebody'}{status}",
        url=frame.url("run", item.run_id) if item.run_id else "",
    )


def _newest(entries: Sequence[Entry]) -> list[Entry]:
    return list(entries[-ROWS_MAX:])[::-1]
