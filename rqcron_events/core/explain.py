"""Why a cron did or did not fire at an instant: a verdict, a sentence and the evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from .clock_change import clock_change_text
from .definition import Definition
from .downtime import Downtime, DowntimeCause
from .events import Event, EventType, Reason
from .mismatch import Mismatch, mismatches
from .run_story import (
    Request,
    RunSummary,
    Step,
    refused_text,
    requests_text,
    run_summary,
    run_text,
    steps,
)
from .state import CronState, Phase
from .wording import Show, because, duration, late, shower

__all__ = [
    "Downtime",
    "DowntimeCause",
    "Explanation",
    "Verdict",
    "explain_slot",
    "phase_at",
]


class Verdict(StrEnum):
    FIRED = "fired"
    SKIPPED = "skipped"
    MISSED = "missed"
    PENDING = "pending"
    NOT_A_SLOT = "not_a_slot"
    NOT_REGISTERED = "not_registered"
    UNKNOWN_CRON = "unknown_cron"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer. ``to_data`` is the JSON of ``cron_explain --format json``."""

    cron: str
    at: datetime
    verdict: Verdict
    reason: str = ""
    summary: str
    """One sentence for a person."""
    slot: datetime | None = None
    lateness_seconds: float | None = None
    run: RunSummary | None = None
    definition: Definition | None = None
    """The one in force at that instant."""
    definition_version: int | None = None
    effective_from: datetime | None = None
    previous_slot: datetime | None = None
    next_slot: datetime | None = None
    downtime: Downtime | None = None
    """The stretch around the slot in which nobody could decide, when that is why it is late."""
    steps: Sequence[Step] = field(default_factory=tuple)
    """What happened to the slot and its run, one after the other."""
    requests: Sequence[Request] = field(default_factory=tuple)
    """Further runs of this slot that people asked for: reruns and backfills."""
    mismatch: Sequence[Mismatch] = field(default_factory=tuple)
    """Of an instant that is no slot: the fields of the schedule that it does not match."""
    clock_change: str = ""
    """What a change of the clocks did to this slot, in words."""
    events: Sequence[Event] = field(default_factory=tuple)
    """The recorded evidence, in the order of the log."""

    def to_data(self) -> dict[str, Any]:
        definition: dict[str, Any] | None = None
        if self.definition is not None:
            definition = {
                **self.definition.to_data(),
                "schedule": self.definition.schedule_text,
                "timezone": self.definition.timezone,
                "queue": self.definition.queue,
                "version": self.definition_version,
                "effective_from": _iso(self.effective_from),
            }
        return {
            "cron": self.cron,
            "at": _iso(self.at),
            "verdict": self.verdict.value,
            "reason": self.reason,
            "summary": self.summary,
            "slot": _iso(self.slot),
            "lateness_seconds": self.lateness_seconds,
            "run": self.run.to_data() if self.run else None,
            "definition": definition,
            "previous_slot": _iso(self.previous_slot),
            "next_slot": _iso(self.next_slot),
            "downtime": self.downtime.to_data() if self.downtime else None,
            "clock_change": self.clock_change,
            "mismatch": [found._asdict() for found in self.mismatch],
            "steps": [step.to_data() for step in self.steps],
            "requests": [request.to_data() for request in self.requests],
            "events": [
                {
                    "id": event.id,
                    "type": event.type.value,
                    "occurred_at": _iso(event.occurred_at),
                    "actor": event.actor,
                    "reason": event.reason,
                    "data": dict(event.data),
                }
                for event in self.events
            ],
        }


def phase_at(state: CronState, instant: datetime) -> Phase | None:
    """The phase whose slots include this instant, or None before registration."""
    for phase in reversed(state.phases):
        if phase.start < instant:
            return phase
    return None


def explain_slot(
    state: CronState,
    at: datetime,
    now: datetime,
    *,
    decision: Event | None,
    definition_events: Sequence[Event],
    run_events: Sequence[Event] = (),
    waits_for: str = "",
    downtime: Downtime | None = None,
    runner_events: Sequence[Event] = (),
    requests: Sequence[Event] = (),
) -> Explanation:
    """Judge one instant of a known cron.

    ``state`` holds all phases ever in force; ``decision`` is the recorded event that covers the
    instant, if there is one; ``run_events`` belong to the run that it fired; ``waits_for`` says
    what an undecided slot in the past waits for; ``downtime`` is given when no runner was alive,
    and ``runner_events`` are those that tell of it.
    """
    phase = phase_at(state, at)
    if decision is None and (phase is None or phase.definition is None):
        return _not_registered(state, at, phase, definition_events)
    definition = phase.definition if phase else None
    if definition is None:
        definition = state.last_definition
    assert definition is not None
    schedule = definition.schedule
    is_slot = schedule.prev_until(at) == at
    common: dict[str, Any] = {
        "cron": state.name,
        "at": at,
        "definition": definition,
        "definition_version": phase.definition_version if phase else None,
        "effective_from": _version_start(state, phase),
        "previous_slot": schedule.prev_until(at - _TICK),
        "next_slot": schedule.next_after(at),
    }
    evidence = _in_force(definition_events, at)
    show = shower(definition)
    clocks = common["clock_change"] = clock_change_text(definition, at)
    and_clocks = f" ({clocks})" if clocks else ""
    if decision is None and not is_slot:
        wrong = mismatches(definition, at)
        why = clocks or ", ".join(map(str, wrong))
        return Explanation(
            verdict=Verdict.NOT_A_SLOT,
            reason="not_a_slot",
            summary=f"{state.name} is not due at {show(at)}: {why}. Its schedule "
            f"{definition.schedule_text!r} has the slots {show(common['previous_slot'])} before "
            f"and {show(common['next_slot'])} after.",
            mismatch=wrong,
            events=evidence,
            **common,
        )
    if decision is None:
        reason, summary = _why_pending(state, at, now, show, phase, waits_for)
        if reason == "undecided":
            summary += _downtime_text(downtime, show, "; ", ". Start cron_run or cron_worker")
            summary += "." if downtime else "; one is alive and will."
        if clocks:
            summary += f" {clocks}."
        return Explanation(
            verdict=Verdict.PENDING,
            reason=reason,
            downtime=downtime,
            summary=summary,
            slot=at,
            events=_in_order([*evidence, *runner_events]),
            **common,
        )
    resumed = _resumed(decision, at, definition_events)
    events = _in_order([*evidence, decision, *run_events, *requests, *resumed, *runner_events])
    common["requests"] = again = [Request.from_event(event) for event in requests]
    if decision.type is EventType.SLOT_FIRED and decision.run_id is not None:
        run = run_summary(decision.run_id, run_events)
        lateness = decision.data.get("lateness_seconds")
        return Explanation(
            verdict=Verdict.FIRED,
            reason=run.reason,
            summary=f"{state.name} fired for {show(at)}{and_clocks}, {late(lateness)}"
            f"{_downtime_text(downtime, show, ' (', ')')}; {run_text(run)}."
            f"{refused_text(run_events)}{requests_text(again, show)}",
            downtime=downtime,
            slot=at,
            lateness_seconds=lateness,
            run=run,
            steps=steps(decision, run_events),
            events=events,
            **common,
        )
    verdict = Verdict.SKIPPED if decision.type is EventType.SLOT_SKIPPED else Verdict.MISSED
    return Explanation(
        verdict=verdict,
        reason=decision.reason,
        summary=f"{state.name} {verdict.value.replace('skipped', 'was skipped at')} "
        f"{show(at)}{and_clocks}: {_why_not(decision, at, show)}"
        f"{''.join(_resumed_text(event, show) for event in resumed)}"
        f"{_downtime_text(downtime, show, '; ', '')}.{requests_text(again, show)}",
        slot=at,
        downtime=downtime,
        events=events,
        **common,
    )


def _not_registered(
    state: CronState, at: datetime, phase: Phase | None, definition_events: Sequence[Event]
) -> Explanation:
    definition = state.last_definition
    show = shower(definition)
    if phase is None:
        first = state.phases[0].start
        summary = f"{state.name} was not registered at {show(at)}: it was first registered at {show(first)}."
        evidence = list(definition_events[:1])
    else:
        summary = (
            f"{state.name} was not registered at {show(at)}: it was retired at {show(phase.start)}, "
            "when a runner started with code that does not have it."
        )
        evidence = _in_force(definition_events, at)
    return Explanation(
        cron=state.name,
        at=at,
        verdict=Verdict.NOT_REGISTERED,
        reason="not_registered",
        summary=summary,
        events=evidence,
    )


def _why_pending(
    state: CronState, at: datetime, now: datetime, show: Show, phase: Phase | None, waits_for: str
) -> tuple[str, str]:
    if at > now:
        pause = phase.pause if phase else None
        if pause is not None and pause.covers(at):
            return "paused", (
                f"{state.name} is paused by {pause.actor or 'somebody'}{because(pause.reason)}, so "
                f"its slot {show(at)} will be skipped unless it is resumed before."
            )
        return (
            "future",
            f"{state.name} is due at {show(at)}, in {duration((at - now).total_seconds())}.",
        )
    late = duration((now - at).total_seconds())
    if waits_for:
        return "waiting", f"{state.name} was due at {show(at)}, {late} ago, and {waits_for}."
    return "undecided", (
        f"{state.name} was due at {show(at)}, {late} ago, and no runner has decided it yet"
    )


def _why_not(decision: Event, slot: datetime, show: Show) -> str:
    evidence = decision.data.get("evidence", {})
    text = _REASON_TEXTS.get(decision.reason, decision.reason)
    if decision.reason == Reason.OVERLAP and evidence.get("run_id"):
        since = evidence.get("started_at")
        state = (
            f"was running since {show(datetime.fromisoformat(since))} on {evidence.get('worker')}"
            if since
            else "had not ended"
        )
        of_slot = evidence.get("slot")
        of = f" for {show(datetime.fromisoformat(of_slot))}" if of_slot else ""
        text = f"run {evidence['run_id'][:8]}{of} {state}"
    elif decision.reason in (Reason.PAUSED, Reason.ALL_PAUSED):
        what = "it was" if decision.reason == Reason.PAUSED else "all crons were"
        until = evidence.get("until")
        text = (
            f"{what} paused by {evidence.get('actor') or 'somebody'} at "
            f"{show(datetime.fromisoformat(evidence['since']))}"
            f"{' until ' + show(datetime.fromisoformat(until)) if until else ''}"
            f"{because(evidence.get('reason', ''))}"
        )
    elif decision.reason == Reason.TOO_LATE:
        late = (decision.occurred_at - slot).total_seconds()
        bound = evidence.get("max_lateness_seconds")
        text = f"it was decided {duration(late)} late"
        if bound is not None:
            text += f", more than the {duration(bound)} that is allowed"
    count = decision.data.get("count", 1)
    return f"{text} (one of {count} slots in a row)" if count > 1 else text


def _resumed(decision: Event, slot: datetime, definition_events: Sequence[Event]) -> list[Event]:
    """Who ended the pause that the decision is about, if somebody did."""
    if decision.reason != Reason.PAUSED:
        return []
    after = (
        event
        for event in definition_events
        if event.occurred_at >= slot
        and event.type in (EventType.CRON_PAUSED, EventType.CRON_RESUMED)
    )
    return [event for event in islice(after, 1) if event.type is EventType.CRON_RESUMED]


def _resumed_text(event: Event, show: Show) -> str:
    return f"; {event.actor or 'somebody'} resumed it at {show(event.occurred_at)}{because(event.reason)}"


def _downtime_text(downtime: Downtime | None, show: Show, before: str, after: str) -> str:
    if downtime is None:
        return ""
    since = f" from {show(downtime.since)}" if downtime.since else ""
    until = f" to {show(downtime.until)}" if downtime.until else " until now"
    match downtime.cause:
        case DowntimeCause.NO_RUNNER:
            what = "no runner was alive"
        case DowntimeCause.DATABASE_AWAY:
            what = "the database did not answer"
        case DowntimeCause.STALE_LEASE:
            what = f"the leading runner {downtime.runner} was silent"
    return f"{before}{what}{since}{until}{after}"


_REASON_TEXTS: dict[str, str] = {
    Reason.SUPERSEDED: "a later slot of the same catch-up ran instead",
    Reason.RETIRED: "the cron left the code before any runner decided it",
    Reason.OVERLAP: "an earlier run had not ended",
    Reason.TOO_LATE: "it was decided too late",
}


def _in_force(definition_events: Sequence[Event], at: datetime) -> list[Event]:
    """The definition event in force at that instant, and the pauses after it."""
    chosen: list[Event] = []
    for event in definition_events:
        start = event.parsed_time("effective_from") or event.occurred_at
        if start >= at:
            break
        if event.type in (
            EventType.CRON_REGISTERED,
            EventType.CRON_CHANGED,
            EventType.CRON_RETIRED,
        ):
            chosen = [event]
        else:
            chosen = [*chosen[:1], event]
    return chosen


def _version_start(state: CronState, phase: Phase | None) -> datetime | None:
    if phase is None:
        return None
    return min(p.start for p in state.phases if p.definition_version == phase.definition_version)


def _in_order(events: Sequence[Event]) -> list[Event]:
    """As in the log, each once."""
    return sorted({event.id: event for event in events}.values(), key=_by_id)


def _by_id(event: Event) -> int:
    return event.id or 0


def _iso(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None


_TICK = datetime.resolution
