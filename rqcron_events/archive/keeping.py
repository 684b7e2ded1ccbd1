"""Which rows stay in the log although they are archived: what later folds and questions rest on.

They are the original rows, so nothing has to be told anew, and folds of what is left give what folds of the
whole log gave. A later pass removes those that nothing rests on any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Exists, Max, OuterRef

from ..conf import conf
from ..core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    SUCCESSES,
    EventType,
    cron_stream,
    runner_stream,
)
from ..models import CronEvent, CronEventQuerySet, QuarantinedEvent
from .boundary import REQUESTS, pages_of_ids

__all__ = ["kept_ids"]

RUNS_PER_QUERY = 500
_CRON, _RUN, _RUNNER = cron_stream(""), "run/", runner_stream("")
_WITH_RUN = {item.value for item in REQUESTS}
_DECIDED = {item.value for item in DECISIONS}
_DEFINED = {item.value for item in DEFINITION_TYPES}


@dataclass(slots=True)
class _Kept:
    ids: set[int] = field(default_factory=set)
    runs: set[UUID] = field(default_factory=set)
    newest: dict[str, tuple[int, UUID | None]] = field(default_factory=dict)
    """Of each cron's own stream: the id of its newest event, and the run that it begins."""
    decided: dict[str, tuple[int, UUID | None]] = field(default_factory=dict)
    """The same of its newest decision."""
    succeeded: dict[str, int] = field(default_factory=dict)
    """By cron, the newest success of a run: how long ago that was is asked for ever."""
    runners: dict[str, list[int]] = field(default_factory=dict)
    """Of each runner that has not stopped in good order: its events."""
    started: list[int] = field(default_factory=list)
    """Those of the one that started last."""
    stopped: list[int] = field(default_factory=list)
    """Those of the one that stopped last in good order: from then on there may be none."""

    def see(self, id_: int, stream: str, kind: str, run_id: UUID | None) -> None:
        """One event after the other, in the order of their ids."""
        if stream.startswith(_CRON):
            begins = id_, run_id if kind in _WITH_RUN else None
            self.newest[stream] = begins
            if kind in _DECIDED:
                self.decided[stream] = begins
            if kind in _DEFINED:
                self.ids.add(id_)
        elif stream.startswith(_RUNNER):
            events = self.runners.setdefault(stream, [])
            events.append(id_)
            if kind == EventType.RUNNER_STARTED:
                self.started = events  # with its end, or it would seem to be alive
            elif kind == EventType.RUNNER_STOPPED:
                self.stopped = self.runners.pop(stream)
        else:  # the ledger's own, and what a later release may bring
            self.ids.add(id_)


def kept_ids(until: int) -> set[int]:
    """Of the events up to this one:

    1. those of the ledger's own stream, and definitions of crons with their pauses and rewinds;
    2. of each cron's own stream the newest event and the newest decision;
    3. all events of runs that have an event after it, of those that 2. begins (their outcome has to be
       there), of each cron's newest one that succeeded, and of those with an event that a reader set aside;
    4. all events of the runners that started last and that stopped last, and of those that have not stopped in
       good order.
    """
    rows = CronEvent.objects.using(conf().database)
    kept = _Kept()
    later = rows.filter(run_id=OuterRef("run_id"), id__gt=until)
    for low, high in pages_of_ids(0, until):
        page = rows.filter(id__gt=low, id__lte=high)
        others = page.exclude(stream__startswith=_RUN).order_by("id")
        for row in others.values_list("id", "stream", "type", "run_id"):
            kept.see(*row)
        asked = page.filter(type__in=REQUESTS, run_id__isnull=False).filter(Exists(later))
        kept.runs.update(run for run in asked.order_by().values_list("run_id", flat=True) if run)
        ended = page.filter(type__in=sorted(SUCCESSES), run_id__isnull=False).order_by()
        kept.succeeded.update(ended.values_list("cron").annotate(newest=Max("id")))
    _add_runs_of(kept, rows, sorted(kept.succeeded.values()))
    for begins in (*kept.newest.values(), *kept.decided.values()):
        kept.ids.add(begins[0])
        if begins[1] is not None:
            kept.runs.add(begins[1])
    kept.ids.update(id_ for ids in kept.runners.values() for id_ in ids)
    kept.ids.update(kept.started, kept.stopped)
    _add_quarantined(kept, rows)
    _add_runs(kept, rows.filter(id__lte=until))
    return kept.ids


def _add_quarantined(kept: _Kept, rows: CronEventQuerySet) -> None:
    noted = QuarantinedEvent.objects.using(conf().database).values_list("event_id", flat=True)
    ids = sorted(set(noted))
    kept.ids.update(ids)
    _add_runs_of(kept, rows, ids)


def _add_runs_of(kept: _Kept, rows: CronEventQuerySet, ids: list[int]) -> None:
    """The runs that these events are about."""
    for start in range(0, len(ids), RUNS_PER_QUERY):
        some = rows.filter(id__in=ids[start : start + RUNS_PER_QUERY], run_id__isnull=False)
        kept.runs.update(run for run in some.order_by().values_list("run_id", flat=True) if run)


def _add_runs(kept: _Kept, rows: CronEventQuerySet) -> None:
    runs = sorted(kept.runs)
    for start in range(0, len(runs), RUNS_PER_QUERY):
        some = rows.filter(run_id__in=runs[start : start + RUNS_PER_QUERY])
        kept.ids.update(some.order_by().values_list("id", flat=True))
