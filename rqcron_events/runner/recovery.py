"""What a runner does when it finds that the log went back: a failover or a restored copy lost events.

It knows more than the log then. What is left of the lost events, here, in Redis and in what workers have
written since, is recorded as found, so that nothing that ran runs again; and that events were lost is
an event itself.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from redis.exceptions import RedisError

from ..conf import conf
from ..core.audit.findings import Loss
from ..core.cron_state import CronState, OpenRun
from ..core.events import Event, EventType, Reason, cron_stream, make
from ..core.events.make import InRun
from ..core.recovery import Trace, decided_again, decided_until
from ..core.run_state import RunState
from ..errors import EventRefused
from ..execution.enqueuer import Enqueuer, RunRequest, job_id
from ..execution.rq_jobs import look_up
from ..execution.traces.jobs import job_traces
from ..leadership.clock_skew import ClockSkew
from ..ledger import store
from ..ledger.cron_states import States
from ..ledger.lookup import archived_until, told_losses
from ..ledger.optimistic import append_optimistically
from ..ledger.run_streams import read_runs
from ..ledger.snapshot import Remembered, missing_marks
from ..models import CronEvent, CronEventQuerySet
from .reconciler import Reconciler

__all__ = ["recover", "recover_unknown_jobs"]

log = logging.getLogger(__name__)

REDIS_SECONDS_MAX = 1.0
"""How long one answer of Redis may take: slots come due meanwhile. The first that takes longer is the
last that is asked of that server."""
JOBS_MAX = 100_000
"""Of each list of a queue, where the log is known to have gone back."""
JOBS_LOOKED_AT_MAX = 2_000
"""The same whenever a runner begins to lead: the newest."""
EVENTS_LOOKED_AT_MAX = 5_000
"""The newest of the log: workers may have written of runs that it does not know any more."""
STREAMS_TOLD_MAX = 100
RUNS_PER_QUERY = 500
JUST_NOW = timedelta(seconds=10)
"""What happened to a run that was asked for so lately may not have been known when the log went back."""
_ASKED = (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)
_LOST = "no trace of it is left in RQ"
_WHY = "what became of it was lost when the log went back"


def recover(before: Remembered, states: States, actor: str) -> None:
    """Record what was lost, and what is left of it. ``states`` is what the log says now; it is folded
    on. ``before`` is what was known.

    Doing it again changes nothing. Raises Django's database errors.
    """
    found, complete = _jobs(states.crons.keys() | before.crons.keys(), JOBS_MAX)
    for trace in _not_asked_for([*_remembered(before), *_written_since()]):
        other = found.get(trace.run_id)
        found[trace.run_id] = other | trace if other else trace
    missing = sorted(missing_marks(before.marks), key=lambda mark: mark.occurred_at)
    _tell(before.crons, states, [mark.occurred_at for mark in missing], actor)
    _close_what_ran(before, states, complete, actor)
    _decide_all_again(before.crons, states, found, actor)


def recover_unknown_jobs(states: States, actor: str) -> bool:
    """The same for one that begins and remembers nothing: no job is made before its decision is
    committed, so a job without one tells that the log went back. False when there is none."""
    found, _ = _jobs(states.crons.keys(), JOBS_LOOKED_AT_MAX)
    if found:
        _tell({}, states, [at for trace in found.values() if (at := trace.decided_at)], actor)
        _decide_all_again({}, states, found, actor)
    return bool(found)


def _decide_all_again(
    known: Mapping[str, CronState], states: States, found: Mapping[UUID, Trace], actor: str
) -> None:
    decided = 0
    for name in sorted(states.crons):
        own = [trace for trace in found.values() if trace.cron == name]
        decided += _decide_again(_Lost(states, name, known.get(name), own), actor)
    states.follow()
    log.warning(
        "%d decisions and requests that were lost with the log are recorded again; %d runs left a "
        "trace.",
        decided,
        len(found),
        extra={"action": "recovered", "runs": len(found)},
    )
    # What RQ knows of their ends, before overlap="skip" sees runs that are over.
    reconciler = Reconciler(Enqueuer(REDIS_SECONDS_MAX), actor)
    with suppress(RedisError):  # the passes to come look at everything again
        reconciler.begin(states)
        while not reconciler.done:
            reconciler.step(states)


def _tell(
    known: Mapping[str, CronState], states: States, lost_at: list[datetime], actor: str
) -> None:
    """That events were lost, and from when to when; once for each loss."""
    now = _now()
    losses = told_losses()
    if lost_at and any(loss.covers(max(lost_at)) for loss in losses):
        return
    kept = _rows().order_by("-occurred_at").values_list("occurred_at", flat=True)
    since = (kept.filter(occurred_at__lt=min(lost_at)) if lost_at else kept).first()
    streams = {
        cron_stream(name): [state.version, version]
        for name, state in sorted(known.items())
        if state.version > (version := states.crons[name].version if name in states.crons else 0)
    }
    event = make.log_went_back(
        epoch=1 + len(losses),
        since=since,
        streams=dict(list(streams.items())[:STREAMS_TOLD_MAX]),
        actor=actor,
        at=now,
    )
    store.append_next([event])
    text = Loss.of(event).text
    told = {"action": "log_went_back", "streams": len(streams)}
    log.error("%s.", text[0].upper() + text[1:], extra=told)


# What is left


def _jobs(crons: Collection[str], jobs_max: int) -> tuple[dict[UUID, Trace], bool]:
    """The jobs of runs that neither the log nor an archive knows, and whether every Redis answered."""
    found, complete = job_traces(Enqueuer(REDIS_SECONDS_MAX), _asked_for, crons, jobs_max)
    until = archived_until() if found else None
    if until is not None:  # RQ keeps jobs of runs that were archived
        found = {
            run_id: trace
            for run_id, trace in found.items()
            if trace.decided_at is None or trace.decided_at > until
        }
    return found, complete


def _remembered(before: Remembered) -> list[Trace]:
    return [
        Trace(
            run_id=run.run_id,
            cron=name,
            slot=run.slot,
            told_by=("runner",),
            decided_at=run.requested_at,
        )
        for name, state in before.crons.items()
        for run in state.open_runs.values()
    ]


def _written_since() -> list[Trace]:
    """Runs that workers wrote of lately."""
    written = _rows().filter(run_id__isnull=False).exclude(reason=Reason.ARCHIVED)
    newest = written.order_by("-id")
    rows = newest.values_list("run_id", "cron", "scheduled_for")[:EVENTS_LOOKED_AT_MAX]
    runs = {run_id: (cron, slot) for run_id, cron, slot in rows if run_id is not None}
    return [
        Trace(run_id=run_id, cron=cron, slot=slot, told_by=("log",))
        for run_id, (cron, slot) in runs.items()
    ]


def _not_asked_for(traces: Iterable[Trace]) -> list[Trace]:
    found = list(traces)
    asked: set[UUID] = set()
    for start in range(0, len(found), RUNS_PER_QUERY):
        asked |= _asked_for([trace.run_id for trace in found[start : start + RUNS_PER_QUERY]])
    return [trace for trace in found if trace.run_id not in asked]


def _asked_for(run_ids: Collection[UUID]) -> set[UUID]:
    """Those of the runs that the log asked for."""
    rows = _rows().filter(run_id__in=list(run_ids), type__in=_ASKED).order_by()
    return {run_id for run_id in rows.values_list("run_id", flat=True) if run_id is not None}


# Runs that the log asked for, and of which later events are lost


def _close_what_ran(before: Remembered, states: States, complete: bool, actor: str) -> None:
    """Without this, the reconciler would find that they never started, and enqueue them again."""
    now = _now()
    doubtful: list[RunRequest] = []
    certain: set[UUID] = set()
    for name, state in states.crons.items():
        known, definition = before.crons.get(name), state.last_definition
        if known is None or definition is None or known.version < state.version:
            continue
        for run in state.open_runs.values():
            if states.run_is_set_aside(run.run_id) or definition.idempotent:
                continue
            remembered = known.open_runs.get(run.run_id)
            if remembered is None:
                certain.add(run.run_id)
            if remembered is None or _may_have_run(remembered, now):
                doubtful.append(RunRequest(run_id=run.run_id, definition=definition, slot=run.slot))
    gone = certain  # what ran is closed, also while Redis does not say whether it has the job
    if complete:
        with suppress(RedisError):
            jobs = look_up(Enqueuer(REDIS_SECONDS_MAX), doubtful)
            gone = {run_id for run_id, job in jobs.items() if not job.status and not job.unreadable}
    runs = read_runs(sorted(gone))
    ends = [
        [_lost_event(_named(runs[request.run_id], request), actor)]
        for request in doubtful
        if request.run_id in runs and runs[request.run_id].outcome is None
    ]
    for batch in store.append_batches(ends, durable=False).accepted:
        states.apply(batch)


def _may_have_run(run: OpenRun, now: datetime) -> bool:
    return bool(run.attempt or run.enqueued_at) or now - run.requested_at < JUST_NOW


def _named(state: RunState, request: RunRequest) -> RunState:
    return replace(state, cron=request.cron, slot=request.slot)


def _lost_event(state: RunState, actor: str) -> Event:
    return make.run_lost(
        found=_LOST, reason=_WHY, attempt=state.attempt or None, **_place(state, actor)
    )


def _place(state: RunState, actor: str, at: datetime | None = None) -> InRun:
    return InRun(
        cron=state.cron,
        run_id=state.run_id,
        version=state.version + 1,
        slot=state.slot,
        actor=actor,
        at=at or _now(),
    )


# Decisions that are lost


class _Lost(NamedTuple):
    """A cron, what was known of it, and what is left of its runs."""

    states: States
    name: str
    known: CronState | None
    traces: list[Trace]


class _Known(NamedTuple):
    state: CronState
    traces: list[Trace]
    """Those of which the log does not know the decision by now, with the outcome that it has."""
    runs: Mapping[UUID, RunState]


def _decide_again(lost: _Lost, actor: str) -> int:
    """Decisions, and what follows for their runs, in one transaction per cron: whoever writes of one of
    the runs meanwhile makes it be read again. Returns how many decisions."""
    states, name = lost.states, lost.name
    if states.is_set_aside(name):
        return 0

    def read() -> _Known:
        traces = _not_asked_for(lost.traces)
        runs = read_runs([trace.run_id for trace in traces]) if traces else {}
        told = [
            replace(trace, outcome=_outcome(runs[trace.run_id]))
            for trace in traces
            if trace.run_id in runs  # otherwise an event of it cannot be read
        ]
        return _Known(states.reload(name), told, runs)

    def build(known: _Known) -> list[Event]:
        now = _now()
        until = decided_until(lost.known, known.traces, now)
        decisions = decided_again(known.state, known.traces, until, actor=actor, now=now)
        return decisions + _what_follows(known, actor)

    try:
        _, events = append_optimistically(read, build)
    except EventRefused as why:
        log.error(
            "What cron %s lost with the log cannot be recorded; the others go on. %s",
            name,
            why,
            extra={"action": "event_refused", "cron": name},
        )
        return 0
    states.committed(events)
    return sum(event.stream == cron_stream(name) for event in events)


def _outcome(run: RunState) -> str:
    return run.outcome.value if run.outcome else ""


def _what_follows(known: _Known, actor: str) -> list[Event]:
    """The run of a job is in RQ; one without a job may have run, and is not enqueued again unless that
    does no harm."""
    definition = known.state.last_definition
    events: list[Event] = []
    for trace in known.traces:
        run = replace(known.runs[trace.run_id], cron=trace.cron, slot=trace.slot)
        if trace.outcome:
            continue
        if trace.has_job and definition is not None:
            events.append(
                make.run_enqueued(
                    queue=definition.queue,
                    job_id=job_id(trace.run_id),
                    found="the job existed already",
                    **_place(run, actor, trace.decided_at),
                )
            )
        elif definition is None or not definition.idempotent:
            events.append(_lost_event(run, actor))
    return events


_skew = ClockSkew()


def _now() -> datetime:
    """By the database's clock: it takes seconds to get here, and this machine's may have been set."""
    return _skew.database_now()


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
