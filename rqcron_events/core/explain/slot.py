"""Why a cron did or did not fire at an instant: a verdict, a sentence and the evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..cron_state import CronState, GlobalPauses, Pause, Phase
from ..definition import Definition
from ..downtime import Downtime, DowntimeCause
from ..events import Event, EventType, Reason
from ..expected_slots import promises, slots_around
from ..wording import Show, because, duration, late, shower
from .clock_change import clock_change_text
from .mismatch import Mismatch, mismatches
from .reasons import Waited, downtime_text, resumed, resumed_text, waited_text, why_not
from .run import (
    Request,
    RunSummary,
    Step,
    refused_text,
    requests_text,
    run_summary,
    run_text,
    steps,
)

__all__ = [
    "Downtime",
    "DowntimeCause",
    "Explanation",
    "Verdict",
    "Waited",
    "explain_slot",
    "phase_at",
    "version_start",
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
    all_pauses: Sequence[Event] = (),
    instead: Event | None = None,
    waited: Waited | None = None,
) -> Explanation:
    """Judge one instant of a known cron.

    ``state`` holds all phases ever in force; ``decision`` is the recorded event that covers the
    instant, if there is one; ``run_events`` belong to the run that it fired; ``waits_for`` says
    what an undecided slot in the past waits for; ``downtime`` is given when no runner was alive,
    and ``runner_events`` are those that tell of it; ``all_pauses`` are the pauses of everything and
    their ends; ``instead`` is the slot that ran in the place of a superseded one, and ``waited``
    the run that the slot waited for.
    """
    phase = phase_at(state, at)
    if decision is None and (phase is None or phase.definition is None):
        return _not_registered(state, at, phase, definition_events, requests)
    definition = phase.definition if phase else None
    if definition is None:
        definition = state.last_definition
    assert definition is not None
    schedule = definition.schedule
    is_slot = schedule.prev_until(at) == at
    before, after = slots_around(promises(state.phases), at)
    common: dict[str, Any] = {
        "cron": state.name,
        "at": at,
        "definition": definition,
        "definition_version": phase.definition_version if phase else None,
        "effective_from": version_start(state, phase),
        "previous_slot": before,
        "next_slot": after,
        "requests": [Request.from_event(event) for event in requests],
    }
    again = requests_text(common["requests"], shower(definition))
    evidence = [*_in_force(definition_events, at), *_all_paused_at(all_pauses, at), *requests]
    show = shower(definition)
    fired = decision is not None and decision.type is EventType.SLOT_FIRED
    clocks = common["clock_change"] = clock_change_text(definition, at, ran=fired)
    and_clocks = f" ({clocks})" if clocks else ""
    if decision is None and not is_slot:
        wrong = mismatches(definition, at)
        why = clocks or ", ".join(map(str, wrong))
        return Explanation(
            verdict=Verdict.NOT_A_SLOT,
            reason="not_a_slot",
            summary=f"{state.name} is not due at {show(at)}: {why}. Its schedule "
            f"{definition.schedule_text!r} has {_around_text(before, after, show)}.{again}",
            mismatch=wrong,
            events=_in_order(evidence),
            **common,
        )
    if decision is None:
        pause = _pause_of(phase, all_pauses, at)
        reason, summary = _why_pending(state, at, now, show, pause, waits_for)
        if reason == "undecided":
            summary += downtime_text(downtime, show, "; ", ". Start cron_run or cron_worker")
            summary += "." if downtime else "; one is alive and will."
        if clocks:
            summary += f" {clocks}."
        summary += again
        return Explanation(
            verdict=Verdict.PENDING,
            reason=reason,
            downtime=downtime,
            summary=summary,
            slot=at,
            events=_in_order([*evidence, *run_events, *runner_events]),
            **common,
        )
    ended = resumed(decision, at, [*definition_events, *all_pauses])
    others = [*ended, *([instead] if instead else []), *runner_events]
    events = _in_order([*evidence, decision, *run_events, *others])
    if decision.type is EventType.SLOT_FIRED and decision.run_id is not None:
        run = run_summary(decision.run_id, run_events)
        lateness = decision.data.get("lateness_seconds")
        return Explanation(
            verdict=Verdict.FIRED,
            reason=run.reason,
            summary=f"{state.name} fired for {show(at)}{and_clocks}, {late(lateness)}"
            f"{downtime_text(downtime, show, ' (', ')')}{waited_text(waited, show)}; {run_text(run)}."
            f"{refused_text(run_events)}{again}",
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
        f"{show(at)}{and_clocks}: {why_not(decision, at, show, instead)}{waited_text(waited, show)}"
        f"{''.join(resumed_text(event, show) for event in ended)}"
        f"{downtime_text(downtime, show, '; ', '')}.{again}",
        slot=at,
        lateness_seconds=(decision.occurred_at - at).total_seconds()
        if verdict is Verdict.MISSED
        else None,
        downtime=downtime,
        events=events,
        **common,
    )


def _not_registered(
    state: CronState,
    at: datetime,
    phase: Phase | None,
    definition_events: Sequence[Event],
    requests: Sequence[Event],
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
    asked = [Request.from_event(event) for event in requests]
    before, after = slots_around(promises(state.phases), at)
    return Explanation(
        cron=state.name,
        at=at,
        verdict=Verdict.NOT_REGISTERED,
        reason="not_registered",
        summary=summary + requests_text(asked, show),
        previous_slot=before,
        next_slot=after,
        requests=asked,
        events=_in_order([*evidence, *requests]),
    )


def _why_pending(
    state: CronState,
    at: datetime,
    now: datetime,
    show: Show,
    pause: tuple[str, Pause] | None,
    waits_for: str,
) -> tuple[str, str]:
    if at > now:
        if pause is not None:
            what, why = pause
            return what, (
                f"{state.name} is due at {show(at)}, but "
                f"{'it is' if what == Reason.PAUSED else 'all crons are'} paused by "
                f"{why.actor or 'somebody'}{' until ' + show(why.until) if why.until else ''}"
                f"{because(why.reason)}, so this slot will be skipped unless somebody resumes before."
            )
        return (
            "future",
            f"{state.name} is due at {show(at)}, in {duration((at - now).total_seconds())}.",
        )
    late = duration((now - at).total_seconds())
    due = f"{state.name} was due at {show(at)}, {late} ago, and"
    if state.watermark is not None and at <= state.watermark:
        return "unaccounted", (
            f"{due} no decision about it is recorded, although slots up to "
            f"{show(state.watermark)} are decided: the log has a gap here, which should never be. "
            f"cron_audit {state.name} lists what is missing."
        )
    if waits_for:
        return "waiting", f"{due} {waits_for}."
    return "undecided", f"{due} no runner has decided it yet"


def _pause_of(
    phase: Phase | None, all_pauses: Sequence[Event], at: datetime
) -> tuple[str, Pause] | None:
    """The pause that will stop a slot to come, as far as people have decided."""
    if phase is not None and phase.pause is not None and phase.pause.covers(at):
        return Reason.PAUSED, phase.pause
    everything = GlobalPauses()
    for event in all_pauses:
        everything.apply(event)
    pause = everything.at(at)
    return (Reason.ALL_PAUSED, pause) if pause else None


def _all_paused_at(all_pauses: Sequence[Event], at: datetime) -> list[Event]:
    """The pause of everything in force at an instant, if there was one."""
    before = [
        event
        for event in all_pauses
        if (event.parsed_time("effective_from") or event.occurred_at) < at
    ]
    if not before or before[-1].type is EventType.ALL_RESUMED:
        return []
    until = before[-1].parsed_time("until")
    return [] if until is not None and until < at else before[-1:]


def _around_text(before: datetime | None, after: datetime | None, show: Show) -> str:
    if before is None:
        return f"its first slot at {show(after)}" if after else "no slot"
    return f"the slots {show(before)} before and {show(after)} after"


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


def version_start(state: CronState, phase: Phase | None) -> datetime | None:
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
