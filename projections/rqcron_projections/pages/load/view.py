"""When the herds are: weekday by hour, of the past and of the next seven days, and one hour's runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse

from rqcron_events.core.schedule import EPOCH, local_time

from ...report.names import present_names
from ..frame.frame import Frame
from ..frame.links import instant_part, parse_instant
from ..frame.rows_end import note_where_rows_end
from .amounts import countable_since, due_crons, past_amounts, upcoming_amounts
from .due import QUARTER
from .herds import herds
from .hour import HOUR, WIDTH, at_work, due_in, lanes, runs_in
from .week import DAYS, midnight, week

__all__ = ["load_page"]

DAY = timedelta(days=1)
FIRST_YEAR, LAST_YEAR = 1970, 9_000
"""Of an hour that is shown: days before and after it exist, too."""
SHOW = {"runs": "how many", "work": "how many workers they keep busy"}


def load_page(frame: Frame) -> HttpResponse:
    """``?hour=2026-03-02T03:00:00Z`` shows one hour, everything else the weeks."""
    given = frame.request.GET.get("hour")
    hour = parse_instant(given) if given else None
    if hour is not None and not FIRST_YEAR <= hour.year <= LAST_YEAR:
        hour = None
    return _hour_page(frame, hour) if hour is not None else _week_page(frame, given)


def _week_page(frame: Frame, given: str | None) -> HttpResponse:
    show = frame.request.GET.get("show")
    if show not in SHOW:
        show = "runs"
    zone, now = frame.zones.of(), frame.now
    today = local_time(now, zone).date()
    before, after = midnight(today - (DAYS - 1) * DAY, zone), midnight(today + DAYS * DAY, zone)
    this_quarter = now - (now - midnight(today, zone)) % QUARTER
    counted_since = countable_since(before, now)
    note_where_rows_end(frame, before)
    past = past_amounts(counted_since, now)
    crons = list(due_crons(now))
    to_come = upcoming_amounts(crons, this_quarter + QUARTER, after)

    def url(begin: datetime) -> str:
        return "?" + urlencode({"hour": instant_part(begin)})

    return frame.render(
        "rqcron/load.html",
        {
            "problem": f"{given!r} is not an instant such as 2026-03-02T03:00:00Z, from 1970 on."
            if given
            else "",
            "show": show,
            "shows": SHOW.items(),
            "hours": range(24),
            "zone_name": local_time(now, zone).tzname(),
            "past": week(past, counted_since, this_quarter + QUARTER, zone, now, show, url),
            "to_come": week(to_come, this_quarter + QUARTER, after, zone, now, show, url),
            "counted_since": counted_since if counted_since > before else None,
            "crons": len(crons),
            "herds": [
                (herd, url(herd.begin - (herd.begin - EPOCH) % HOUR))
                for herd in herds(crons, to_come, this_quarter + QUARTER, after, zone)
            ],
        },
        title="Load",
    )


def _hour_page(frame: Frame, begin: datetime) -> HttpResponse:
    end, now = begin + HOUR, frame.now
    context: dict[str, Any] = {
        "begin": begin,
        "end": end,
        "before": instant_part(begin - HOUR),
        "after": instant_part(end),
        "width": WIDTH,
    }
    if begin <= now:
        note_where_rows_end(frame, begin)
        runs, more = runs_in(begin, end)
        context |= {
            "lanes": lanes(runs, begin, end, now, present_names()),
            "runs": len(runs),
            "more_runs": more,
            "at_work": at_work(runs, begin, now),
            "log": urlencode(
                {
                    "event": "passed_over",
                    "since": instant_part(begin),
                    "until": instant_part(end),
                }
            ),
        }
    if end > now:
        listed, more = due_in(due_crons(now), max(begin, now), end)
        context |= {"to_come": listed, "more_to_come": more}
    return frame.render("rqcron/load_hour.html", context, title="Load of an hour")
