"""What the log tells of many runs, counted by the database: in the end nearly every one is well."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, Q, QuerySet

from ...conf import conf
from ...core.audit.auditor import RunFacts
from ...core.events import OUTCOMES, EventType, Reason, cron_stream
from ...ledger import store
from ...ledger.backend import backend_of
from ...ledger.run_streams import read_runs
from ...models import CronEvent, CronEventQuerySet

__all__ = ["runs_not_well", "runs_of", "told_runs", "undecided_runs"]

RUNS_KEPT_MAX = 50_000
"""When more runs than this are not well, they are looked at page by page."""
RUNS_PER_QUERY = 500
"""Where each run has to be named: SQLite may take no more than 999 parameters."""
_OUTCOME_VALUES = sorted(item.value for item in OUTCOMES)
_RUN_PREFIX = "run/"
_FIRED = EventType.SLOT_FIRED.value
_REQUESTED = EventType.RUN_REQUESTED.value

_HAS_ASKED = f"type IN ('{_FIRED}', '{_REQUESTED}')"
_HAS_ENDED = f"type IN ({', '.join(repr(value) for value in _OUTCOME_VALUES)})"
# A start that was refused because the run is archived does not know how many events the run has.
_IS_APART = f"({_HAS_ASKED} OR reason = '{Reason.ARCHIVED.value}')"
# One pass over the events of the cron, by the database: it returns what is not as it should be.
_RUNS_NOT_WELL = f"""
    SELECT run_id, MAX(CASE WHEN {_HAS_ASKED} THEN id END)
    FROM rqcron_event WHERE cron = %s AND run_id IS NOT NULL
    GROUP BY {{group}}
    HAVING COUNT(CASE WHEN {_HAS_ASKED} THEN 1 END) > 0
        AND (COUNT(CASE WHEN {_HAS_ENDED} THEN 1 END) <> 1
            OR COUNT(CASE WHEN {_IS_APART} THEN NULL ELSE 1 END)
                <> MAX(CASE WHEN {_IS_APART} THEN 0 ELSE version END))
    LIMIT %s
"""  # noqa: S608


def runs_not_well(name: str) -> list[int] | None:
    """Of the whole log, the events that asked for a run which is not well; None: too many."""
    db = store.connection()
    statement = _RUNS_NOT_WELL.format(group=backend_of(db).GROUP_BY_RUN)
    with db.cursor() as cursor:
        cursor.execute(statement, [name, RUNS_KEPT_MAX + 1])
        found = sorted(row[1] for row in cursor)
    return found if len(found) <= RUNS_KEPT_MAX else None


def runs_of(
    name: str, first: int, last: int, since: datetime | None, until: datetime | None
) -> Iterator[RunFacts]:
    """The runs that these versions of the stream asked for, unless all is well with all of them."""
    asked = _asked(name, first, last, since, until)
    # In the end nearly every run is well, so the database counts those: one number for a page.
    well = _run_facts(asked.values("run_id")).filter(Q(events=F("head")) & Q(outcomes=1))
    if well.count() == asked.count():
        return
    yield from told_runs(sorted(asked.values_list("id", flat=True)))


def _asked(
    name: str, first: int, last: int, since: datetime | None, until: datetime | None
) -> CronEventQuerySet:
    """The events that asked for a run, in the window."""
    fired, requested = Q(type=_FIRED), Q(type=_REQUESTED)
    if since is not None:
        fired &= Q(scheduled_for__gte=since)
        requested &= Q(occurred_at__gte=since)
    if until is not None:
        fired &= Q(scheduled_for__lt=until)
        requested &= Q(occurred_at__lt=until)
    return (
        _rows()
        .filter(
            fired | requested,
            stream=cron_stream(name),
            version__range=(first, last),
            run_id__isnull=False,
        )
        .order_by()
    )


def told_runs(asked_by: Sequence[int]) -> Iterator[RunFacts]:
    """What became of the runs, which are named by the events that asked for them."""
    for start in range(0, len(asked_by), RUNS_PER_QUERY):
        asked = _rows().filter(id__in=asked_by[start : start + RUNS_PER_QUERY]).order_by("id")
        yield from _told(asked.values_list("run_id", "occurred_at"))


def _told(asked: Iterable[tuple[UUID | None, datetime]]) -> Iterator[RunFacts]:
    requested_at = {run_id: at for run_id, at in asked if run_id is not None}
    told = {row["run_id"]: row for row in _run_facts(requested_at)}
    open_runs = read_runs(
        [run_id for run_id in requested_at if not told.get(run_id, {}).get("outcomes")]
    )
    for run_id, at in requested_at.items():
        facts = told.get(run_id, {})
        state = open_runs.get(run_id)
        yield RunFacts(
            run_id=run_id,
            requested_at=at,
            events=facts.get("events", 0),
            version=facts.get("head", 0),
            outcomes=facts.get("outcomes", 0),
            started_at=state.started_at if state else None,
            last_event_at=facts.get("last"),
        )


def _run_facts(run_ids: Any) -> QuerySet[CronEvent, Any]:
    """What the streams of the runs tell, without reading them."""
    rows = _rows().filter(run_id__in=run_ids, stream__startswith=_RUN_PREFIX)
    rows = rows.exclude(reason=Reason.ARCHIVED).order_by()
    return rows.values("run_id").annotate(
        events=Count("id"),
        head=Max("version"),
        outcomes=Count("id", filter=Q(type__in=_OUTCOME_VALUES)),
        last=Max("occurred_at"),
    )


def undecided_runs(run_ids: Collection[UUID]) -> Iterator[UUID]:
    """Those of the runs that have events, but none that asked for them."""
    rows = _rows().filter(run_id__in=run_ids).order_by().values_list("run_id")
    asked = Count("id", filter=Q(type__in=(_FIRED, _REQUESTED)))
    for run_id, count in rows.annotate(asked=asked):
        if run_id is not None and not count:
            yield run_id


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
