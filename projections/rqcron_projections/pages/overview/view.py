"""The overview: every cron in a row, what hurts first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpResponse

from rqcron_events.ledger.cron_states import global_pauses

from ...models import CronJob, CronStatus
from ..crons.figures import slowest_first
from ..crons.rows import rows_of
from ..frame.frame import Frame
from ..frame.permissions import Action
from .filters import GROUPS, PAGE_CRONS, SORTS, Filters

__all__ = ["overview"]

BULK = (Action.PAUSE, Action.RESUME, Action.TRIGGER)
"""What can be done with several crons: the page that asks for it gets their names as ``cron``."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A link that changes one of the filters."""

    text: str
    url: str
    is_chosen: bool
    count: int | None = None


def overview(frame: Frame) -> HttpResponse:
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
            "rows": rows_of(jobs, frame, pause, filters.group),
            "total": total,
            "first": start + 1,
            "last": start + len(jobs),
            "known": total or all_rows.exists(),
            "statuses": _statuses(filters, frame),
            "queues": list(all_rows.order_by("queue").values_list("queue", flat=True).distinct()),
            "bulk": [action for action in BULK if frame.may(action)],
            "sorts": SORTS,
            "groups": GROUPS,
            "before": filters.with_(page=page - 1) if page > 1 else "",
            "after": filters.with_(page=page + 1) if page < pages else "",
            "reset": filters.with_(search="", status="", queue="", group="", sort="hurts"),
        },
        title="Crons",
    )


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
