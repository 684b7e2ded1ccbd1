"""Loading the evidence for ``explain``: index look-ups only, however long the log is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from .. import clock
from ..conf import conf
from ..core.cron_state import PAUSES_KEPT_MAX, CronState
from ..core.definition import Overlap, run_id_for_slot
from ..core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    LEDGER_STREAM,
    OUTCOMES,
    Event,
    EventType,
    Reason,
    run_stream,
)
from ..core.explain.run import refused_text, run_summary, run_text, steps
from ..core.explain.slot import (
    Downtime,
    DowntimeCause,
    Explanation,
    Verdict,
    Waited,
    explain_slot,
    phase_at,
    version_start,
)
from ..core.wording import because, shower
from ..errors import CronConfigError, UnknownRun
from ..leadership.downtime import downtime_at
from ..ledger.cron_states import state_of
from ..ledger.lookup import find_run, unknown_cron_text
from ..models import CronEvent, CronEventQuerySet

__all__ = ["explain", "explain_run"]

RUN_EVENTS_MAX = 200
"""Evidence is for people: a run with more events than this shows the first ones."""
OPEN_RUNS_LOOKED_AT_MAX = 20
REQUESTS_MAX = 50
"""Reruns and backfills of one slot that are shown."""
LATE_SECONDS = 2.0
"""A slot that fired later than this is worth asking whether a runner was alive."""


def explain(name: str, at: datetime | None = None) -> Explanation:
    """Why a cron did or did not fire at an instant.

    :param at: aware; default the cron's last slot. Raises CronConfigError when it is naive.

    >>> explain("send_digest", datetime(2026, 3, 8, 13, 0, tzinfo=UTC)).verdict  # doctest: +SKIP
    <Verdict.FIRED: 'fired'>
    """
    now = clock.now()
    if at is not None and at.tzinfo is None:
        raise CronConfigError(f"at={at.isoformat()} has no time zone. Add tzinfo, such as UTC.")
    state = state_of(name)
    if not state.phases:
        return _unknown(name, at or now)
    instant = at if at is not None else _last_slot(state, now)
    definition_events = [
        row.to_event()
        for row in _rows().filter(cron=name, type__in=DEFINITION_TYPES).order_by("id")
    ]
    decision = _decision(state, instant)
    run_events: list[Event] = []
    waits_for = ""
    unaccounted = decision is None and state.watermark is not None and instant <= state.watermark
    if decision is not None and decision.run_id is not None:
        run_events = _events_of_run(decision.run_id)
    elif decision is not None and decision.reason == Reason.OVERLAP:
        active = decision.data.get("evidence", {}).get("run_id")
        run_events = _events_of_run(UUID(active)) if active else []
    elif unaccounted:
        run_events = _events_of_run(run_id_for_slot(name, instant))
    elif decision is None and instant <= now:
        waits_for = _waits_for(state, instant)
    downtime, runner_events = (
        (None, []) if unaccounted else _downtime(decision, instant, now, waits_for)
    )
    return explain_slot(
        state,
        instant,
        now,
        decision=decision,
        definition_events=definition_events,
        run_events=run_events,
        waits_for=waits_for,
        downtime=downtime,
        runner_events=runner_events,
        requests=_requests(name, instant),
        all_pauses=_all_pauses(),
        instead=_instead(decision),
        waited=_waited(state, decision, instant) if downtime is None else None,
    )


def explain_run(run_id: UUID | str) -> Explanation:
    """The story of one run, asked for by a slot or by a person. Raises UnknownRun."""
    asked = find_run(run_id)
    events = _events_of_run(asked)
    if not events:
        raise UnknownRun(f"Run {asked} is not known. cron_history NAME lists the runs of a cron.")
    origin = events[0]
    if origin.type is EventType.SLOT_FIRED and origin.scheduled_for is not None:
        return explain(origin.cron, origin.scheduled_for)
    run = run_summary(asked, events)
    state = state_of(origin.cron)
    phase = phase_at(state, origin.occurred_at)
    who = origin.actor or "somebody"
    of = f" of run {origin.data['of'][:8]}" if origin.data.get("of") else ""
    show = shower(phase.definition if phase else None)
    slot = f" for {show(origin.scheduled_for)}" if origin.scheduled_for else ""
    return Explanation(
        cron=origin.cron,
        at=origin.occurred_at,
        verdict=Verdict.FIRED,
        reason=run.reason,
        summary=f"{origin.cron} was asked for by {who}{because(origin.reason)}, "
        f"trigger {run.trigger}{of}{slot}; {run_text(run)}.{refused_text(events)}",
        slot=origin.scheduled_for,
        run=run,
        steps=steps(origin, events),
        definition=phase.definition if phase else None,
        definition_version=phase.definition_version if phase else None,
        effective_from=version_start(state, phase),
        events=events,
    )


def _downtime(
    decision: Event | None, instant: datetime, now: datetime, waits_for: str
) -> tuple[Downtime | None, list[Event]]:
    """Only where it explains something: a slot that was decided late, or not yet."""
    if waits_for or instant > now:
        return None, []
    if decision is not None and decision.type is not EventType.SLOT_MISSED:
        late_seconds = (decision.occurred_at - instant).total_seconds()
        if decision.type is EventType.SLOT_SKIPPED or late_seconds < LATE_SECONDS:
            return None, []
    recorded = decision.data.get("held_up") if decision is not None else None
    held_up = Downtime.from_data(recorded) if recorded else None
    if held_up is not None and held_up.cause is DowntimeCause.DATABASE_AWAY:
        return held_up, []  # a runner was alive, though it could not say so
    downtime, evidence = downtime_at(instant)
    if downtime is None and held_up is not None and held_up.covers(instant):
        return held_up, evidence
    return downtime, evidence


def _requests(name: str, slot: datetime) -> list[Event]:
    """Reruns and backfills of a slot."""
    rows = _rows().filter(cron=name, type=EventType.RUN_REQUESTED, scheduled_for=slot)
    return [row.to_event() for row in rows.order_by("id")[:REQUESTS_MAX]]


def _all_pauses() -> list[Event]:
    """The pauses of everything and their ends: people's actions, so there are not many."""
    rows = _rows().filter(stream=LEDGER_STREAM, type__in=["all_paused", "all_resumed"])
    return [row.to_event() for row in rows.order_by("-version")[:PAUSES_KEPT_MAX]][::-1]


def _instead(decision: Event | None) -> Event | None:
    """The slot that ran in the place of a superseded one."""
    if decision is None or decision.reason != Reason.SUPERSEDED:
        return None
    rows = _rows().filter(cron=decision.cron, type=EventType.SLOT_FIRED)
    row = rows.filter(scheduled_for__gt=decision.scheduled_for).order_by("scheduled_for").first()
    return row.to_event() if row else None


def _waited(state: CronState, decision: Event | None, slot: datetime) -> Waited | None:
    """The run that a slot waited for before it was decided, with ``overlap="queue"``."""
    if decision is None or decision.type is EventType.SLOT_SKIPPED:
        return None
    phase = phase_at(state, slot)
    if phase is None or phase.definition is None or phase.definition.overlap is not Overlap.QUEUE:
        return None
    for run_id, ended_at in _newest_runs(state.name, before=slot):
        if ended_at is not None and slot < ended_at <= decision.occurred_at:
            return Waited(run_id, ended_at)
    return None


def _newest_runs(
    name: str, before: datetime | None = None
) -> Iterator[tuple[UUID, datetime | None]]:
    """Runs of slots, of those before an instant only, newest first, and when each ended."""
    fired = _rows().filter(cron=name, type=EventType.SLOT_FIRED)
    if before is not None:
        fired = fired.filter(scheduled_for__lt=before)
    for row in fired.order_by("-scheduled_for")[:OPEN_RUNS_LOOKED_AT_MAX]:
        assert row.run_id is not None
        ended = _rows().filter(stream=run_stream(row.run_id), type__in=sorted(OUTCOMES)).first()
        yield row.run_id, ended.occurred_at if ended else None


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)


def _unknown(name: str, at: datetime) -> Explanation:
    return Explanation(
        cron=name,
        at=at,
        verdict=Verdict.UNKNOWN_CRON,
        reason="unknown_cron",
        summary=unknown_cron_text(name),
    )


def _last_slot(state: CronState, now: datetime) -> datetime:
    """The newest slot that should be decided by now, or else the next one."""
    phase = phase_at(state, now)
    if phase is not None and phase.definition is not None:
        slot = phase.definition.schedule.prev_until(now - timedelta(seconds=LATE_SECONDS))
        if slot is not None and slot > state.phases[0].start:
            return slot
        following = phase.definition.schedule.next_after(now)
        if following is not None:
            return following
    return state.watermark or now


def _decision(state: CronState, instant: datetime) -> Event | None:
    """The decision that covers the instant.

    Decisions follow one another and carry the last slot they cover, so only the first one that
    ends at or after the instant can.
    """
    row = (
        _rows()
        .filter(cron=state.name, type__in=sorted(DECISIONS), scheduled_for__gte=instant)
        .order_by("scheduled_for")
        .first()
    )
    if row is None:
        return None
    event = row.to_event()
    if event.type is EventType.SLOT_FIRED:
        return event if event.scheduled_for == instant else None
    first = event.parsed_time("first")
    if first is None or first > instant or not _is_slot(state, instant):
        return None
    return event


def _is_slot(state: CronState, instant: datetime) -> bool:
    phase = phase_at(state, instant)
    if phase is None or phase.definition is None:
        return False
    return phase.definition.schedule.prev_until(instant) == instant


def _events_of_run(run_id: UUID) -> list[Event]:
    return [row.to_event() for row in _rows().for_run(run_id).order_by("id")[:RUN_EVENTS_MAX]]


def _waits_for(state: CronState, slot: datetime) -> str:
    """What an undecided slot in the past waits for, as far as the log tells."""
    phase = phase_at(state, slot)
    definition = phase.definition if phase else None
    if definition is None:
        return ""
    delay = definition.delay(slot)
    if delay > timedelta(0) and slot + delay > clock.now():
        return f"waits for its jitter of {delay.total_seconds():.1f} s"
    if definition.overlap is not Overlap.QUEUE:
        return ""
    for run_id, ended_at in _newest_runs(state.name):
        if ended_at is None:
            return f"waits for run {str(run_id)[:8]} to end (overlap='queue')"
    return ""
