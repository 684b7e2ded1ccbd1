"""The runs of one cron as they were at an instant, without folding anybody else's history.

As for ``crons.state_at``, what had occurred by then counts, even if it was written later: a worker
that could not reach the database notes its outcome afterwards, with the true time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from ..folds import runs
from ..models import CronRun

__all__ = ["runs_at"]

RUNS_PER_QUERY = 200
RUNS_LOOKED_AT_MAX = 20_000
"""Bound of the search for runs of one status, which no index has for the past."""


def runs_at(cron: str, instant: datetime, *, limit: int, status: str = "") -> list[CronRun]:
    """The newest ``limit`` runs that were asked for by ``instant``, newest first: unsaved rows.

    ``status`` keeps those that had it then, among the newest 20,000.
    """
    found: list[CronRun] = []
    for run_ids in _asked_for(cron, instant, RUNS_PER_QUERY if status else limit):
        rows = _fold(run_ids, instant)
        found += [rows[key] for key in run_ids if not status or rows[key].status == status]
        if len(found) >= limit:
            break
    return found[:limit]


def _asked_for(cron: str, instant: datetime, limit: int) -> Iterator[list[UUID]]:
    """Ids of runs, newest first. When a run was asked for never changes, so today's rows are an
    index of the past."""
    runs = (
        CronRun.objects.using(store.connection().alias)
        .filter(cron=cron, requested_at__lte=instant)
        .order_by("-requested_at", "run_id")
        .values_list("run_id", flat=True)
    )
    size = min(limit, RUNS_PER_QUERY)
    for start in range(0, max(limit, RUNS_LOOKED_AT_MAX), size):
        page = list(runs[start : start + size])
        if page:
            yield page
        if len(page) < size:
            return


def _fold(run_ids: Sequence[UUID], instant: datetime) -> dict[UUID, CronRun]:
    events = CronEvent.objects.using(store.connection().alias).filter(
        run_id__in=run_ids, occurred_at__lte=instant
    )
    rows: dict[UUID, CronRun] = {}
    for event in events.order_by("id").events(texts=False):
        for row in runs.apply(rows.get(event.run_id) if event.run_id else None, event):
            rows[row.run_id] = row
    return rows
