"""The overview: every cron in a row, what hurts first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Count
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.http import urlencode

from rqcron_events.cli.times import parse_instant
from rqcron_events.errors import CronConfigError
from rqcron_events.ledger.cron_states import global_pauses
from rqcron_events.queries.log.size import log_size

from ...models import CronJob, CronStatus
from ..crons.figures import slowest_first
from ..crons.rows import rows_of
from ..frame.frame import Frame
from ..frame.links import instant_part
from ..frame.permissions import Action
from .filters import GROUPS, PAGE_CRONS, SORTS, Filters

__all__ = ["overview"]

BULK = {Action.PAUSE: "Pause", Action.RESUME: "Resume", Action.TRIGGER: "Run now"}
"""What can be done with several crons: the page that asks for it gets their names as ``cron``."""
RAN_AT = "ran_at"
"""Asks for all that ran in an hour."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A link that changes one of the filters."""

    text: str
    url: str
    is_chosen: bool
    count: int | None = None


def overview(frame: Frame) -> HttpResponse:
    ran_at, problem = frame.request.GET.get(RAN_AT, ""), ""
    if ran_at:
        try:
            return HttpResponseRedirect(_hour_url(frame, ran_at))
        except CronConfigError as error:
            problem = str(error)
    filters = Filters.of(frame.request.GET)
    all_rows = CronJob.objects.using(frame.alias)
    rows = filters.chosen(all_rows)
    total = rows.count()
    pages = max(-(-total // PAGE_CRONS), 1)
    page = min(max(filters.page, 1), pages)
    start = (page - 1) * PAGE_CRONS
    if filters.sort == "slower":
        names = slowest_first(list(rows.values_list("name", flat=True)), frame.now.date())
        names = names[start : start + PAGE_CRONS]
        known = all_rows.in_bulk(names)
        jobs = [known[name] for name in names if name in known]
    else:
        jobs = list(filters.ordered(rows, frame.now)[start : start + PAGE_CRONS])
    pause = global_pauses().in_force(frame.now)
    return frame.render(
        "rqcron/overview.html",
        {
            "filters": filters,
            "ran_at": ran_at,
            "problem": problem,
            "pause_of_all": pause,
            "log_size": _log_size(frame),
            "rows": rows_of(jobs, frame, pause, filters.group),
            "total": total,
            "first": start + 1,
            "last": start + len(jobs),
            "known": total or all_rows.exists(),
            "statuses": _statuses(filters, frame),
            "queues": list(all_rows.order_by("queue").values_list("queue", flat=True).distinct()),
            "bulk": [(action, verb) for action, verb in BULK.items() if frame.may(action)],
            "sorts": SORTS,
            "groups": GROUPS,
            "before": filters.with_(page=page - 1) if page > 1 else "",
            "after": filters.with_(page=page + 1) if page < pages else "",
            "reset": filters.with_(search="", status="", queue="", group="", sort="hurts"),
        },
        title="Crons",
    )


def _log_size(frame: Frame) -> str:
    """Empty where the log, or the texts, are locked: that hides no cron."""
    try:
        with transaction.atomic(using=frame.alias):
            return log_size(frame.now).words
    except DatabaseError:
        return ""


def _hour_url(frame: Frame, text: str) -> str:
    """The page of the hour that somebody named, in words too; CronConfigError for what is no time."""
    at = parse_instant(text.replace("\0", ""), "The time")
    hour = at.replace(minute=0, second=0, microsecond=0)
    return f"{frame.url('load')}?{urlencode({'hour': instant_part(hour)})}"


def _statuses(filters: Filters, frame: Frame) -> list[Choice]:
    counted = CronJob.objects.using(frame.alias).order_by().values_list("status")
    counts: Mapping[str, Any] = dict(counted.annotate(Count("name")))
    every = sum(count for status, count in counts.items() if status != CronStatus.RETIRED)
    return [
        Choice("all", filters.with_(status=""), not filters.status, every),
        *(
            Choice(name, filters.with_(status=name), filters.status == name, counts[name])
            for name in CronStatus.values
            if name in counts
        ),
    ]
