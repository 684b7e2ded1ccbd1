"""What to do about the slots that are due. Pure: the same arguments give the same decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from .cron_state import CronState, OpenRun, Phase
from .definition import CatchUp, Definition, Overlap, run_id_for_slot
from .events import Event, EventType, Reason, keys, make
from .events.make import InCron, PassedOver
from .interventions.pauses import GlobalPauses, Pause
from .interventions.rewind import around, kept_before
from .stretches import Stretch, due_stretches, late_bound, newest_apart, only_slot

__all__ = ["Decisions", "HeldUp", "Limits", "decide", "next_due"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one call."""

    catch_up_slots_max: int = 100
    """``catch_up="all"`` fires at most this many slots of one catch-up."""
    events_per_call: int = 1000
    """How many events one call makes; the rest waits for the next call (``more``)."""
    refused_runs_max: int = 100
    """While so many runs of a cron wait because RQ takes no job for it, no slot becomes another one,
    whatever its overlap policy."""
    grace: timedelta = timedelta(seconds=10)
    """A slot decided within this time counts as punctual: runners need it to take over."""


@dataclass(slots=True)
class Decisions:
    """What to append, in order, and when to look again."""

    events: list[Event] = field(default_factory=list)
    more: bool = False
    """Slots are left over: call again at once, with the events applied."""
    waits_for: UUID | None = None
    """``overlap="queue"``: a slot stays undecided until this run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """Why the slots of that time could not be decided at once, although a runner was alive."""

    since: datetime
    until: datetime
    data: Mapping[str, Any]
    """JSON-ready, for ``explain``."""


class _Due(NamedTuple):
    """Slots to which the same rules apply; those that may fire are each on their own."""

    slots: Stretch
    stopped: tuple[Reason, Pause] | None
    """By which pause, or what is like one."""
    may_fire: bool
    """Catch-up lets it through, before lateness and overlap."""


class _Verdict(NamedTuple):
    """How slots are decided; equal neighbours become one event."""

    type: EventType
    reason: Reason | None
    definition_version: int
    evidence: Mapping[str, Any]


class _Judged(NamedTuple):
    """The verdicts, oldest slot first, and what the slots without one wait for."""

    decided: list[tuple[_Verdict, Stretch]]
    waits_for: UUID | None = None


def decide(
    state: CronState,
    now: datetime,
    *,
    all_paused: GlobalPauses,
    limits: Limits,
    actor: str,
    held_up: HeldUp | None = None,
) -> Decisions:
    """Decide every slot that is due at ``now`` and not covered yet.

    Events carry the next versions of the cron's stream; the state is not changed. A clock that
    went back finds nothing due, so it decides nothing twice. ``held_up`` goes into the events of
    slots that were late because of it.
    """
    policy = state.last_definition
    if policy is None:
        return Decisions()
    builder = _EventBuilder(state, now, actor, held_up)
    only = only_slot(state, now)
    if only is not None and _nothing_stops(only, state, policy, now, all_paused, limits):
        builder.fired(only)
        return Decisions(events=builder.events)
    judged = _judge(state, policy, now, all_paused, limits)

    def one_event(pair: tuple[_Verdict, Stretch]) -> tuple[_Verdict, int]:
        return pair[0], kept_before(state.kept, pair[1].first)

    for (verdict, _), group in groupby(judged.decided, key=one_event):
        if len(builder.events) == limits.events_per_call:
            return Decisions(events=builder.events, more=True)
        slots = [stretch for _, stretch in group]
        if verdict.type is EventType.SLOT_FIRED:
            builder.fired(slots[0])
        else:
            count = sum(stretch.slots for stretch in slots)
            builder.passed_over(verdict, slots[0].first, slots[-1].last, count)
    return Decisions(events=builder.events, waits_for=judged.waits_for)


def _told_by_log(early: OpenRun | None) -> dict[str, Any] | None:
    """A worker wrote of the run before its slot was decided here."""
    if early is None:
        return None
    told: dict[str, Any] = {keys.RECOVERED_FROM: ["log"]}
    return told | ({keys.RECOVERED_OUTCOME: early.outcome} if early.outcome else {})


def next_due(state: CronState) -> datetime | None:
    """When the first undecided slot becomes due (jitter included), or None for never."""
    if state.watermark is None:
        return None
    if len(state.phases) == 1 and not state.kept:  # as nearly always, and asked for each slot
        [phase] = state.phases
        if phase.definition is None:
            return None
        slot = phase.definition.schedule.next_after(max(state.watermark, phase.start))
        return None if slot is None else slot + phase.definition.delay(slot)
    due: datetime | None = None
    for phase, after, end in _spans(state, state.watermark):
        if phase.definition is None or not (phase is state.phases[-1] or phase.is_readable):
            continue
        slot = phase.definition.schedule.next_after(after)
        if slot is None or (end is not None and slot > end):
            continue
        if due is not None:
            # After an edit the next slot is the new definition's: the delay ends there too.
            return min(due, slot)
        due = slot + phase.definition.delay(slot)
    return due


def _spans(state: CronState, watermark: datetime) -> list[tuple[Phase, datetime, datetime | None]]:
    """Each phase with the instants between which its undecided slots lie; None as the end of the one
    that still goes on."""
    ends = [*[phase.start for phase in state.phases[1:]], None]
    return [
        (phase, after, until)
        for phase, end in zip(state.phases, ends, strict=False)
        for after, until in around(state.kept, max(watermark, phase.start), end)
    ]


def _nothing_stops(
    slots: Stretch,
    state: CronState,
    policy: Definition,
    now: datetime,
    all_paused: GlobalPauses,
    limits: Limits,
) -> bool:
    """Whether the only slot that is due fires, by none but the plainest of the rules below."""
    if slots.phase.pause is not None or slots.phase.disabled is not None or all_paused.pauses:
        return False
    if state.open_runs and (
        policy.overlap is not Overlap.ALLOW or len(state.open_runs) >= limits.refused_runs_max
    ):
        return False
    return _may_fire(policy, limits) > 0 and not _too_late(policy, slots, now, limits)


def _judge(
    state: CronState,
    policy: Definition,
    now: datetime,
    all_paused: GlobalPauses,
    limits: Limits,
) -> _Judged:
    """Every due slot gets its verdict, except that the newest may have to wait for a run.

    The first rule that holds decides: disabled, paused, retired, too late, another run is active, let
    through by catch-up, unless RQ refuses too many runs.
    """
    running = None if policy.overlap is Overlap.ALLOW else _newest_open_run(state, now)
    refused = _too_many_refused(state, limits)
    decided: list[tuple[_Verdict, Stretch]] = []
    for slots, stopped, may_fire in _due(state, policy, now, all_paused, limits, running):
        if stopped is not None:
            why, pause = stopped
            verdict = _skipped(slots, why, pause.to_data())
        elif state.definition is None:
            verdict = _missed(slots, Reason.RETIRED, {})
        elif _too_late(policy, slots, now, limits):
            verdict = _missed(slots, Reason.TOO_LATE, _bound(policy, limits))
        elif running is not None and policy.overlap is Overlap.QUEUE and may_fire:
            # It waits, undecided; every slot behind it is paused, and is decided later.
            return _Judged(decided, waits_for=running.run_id)
        elif running is not None:
            verdict = _skipped(slots, Reason.OVERLAP, _run_evidence(running))
        elif may_fire and refused:
            verdict = _skipped(slots, Reason.OVERLAP, refused)
        elif may_fire:
            verdict = _fired(slots)
            if policy.overlap is Overlap.SKIP:
                running = _Running(run_id_for_slot(state.name, slots.first), slots.first, None, "")
        else:
            verdict = _missed(slots, Reason.SUPERSEDED, {})
        decided.append((verdict, slots))
    return _Judged(decided)


def _due(
    state: CronState,
    policy: Definition,
    now: datetime,
    all_paused: GlobalPauses,
    limits: Limits,
    running: _Running | None,
) -> list[_Due]:
    """All due slots, oldest first; the newest that no pause stops are those that may fire."""
    left = _may_fire(policy, limits)
    if state.definition is None or (running is not None and policy.overlap is Overlap.SKIP):
        left = 0  # none will, so none has to be looked at on its own
    late_after = late_bound(policy, limits.grace)
    found: list[_Due] = []
    for slots in reversed(due_stretches(state, now, all_paused=all_paused, late_after=late_after)):
        stopped = _pause(slots, state, now, all_paused)
        if stopped is not None or not left:
            found.append(_Due(slots, stopped, False))
        elif slots.slots > 1 and _too_late(policy, slots, now, limits):
            found.append(_Due(slots, None, False))
            left = max(left - slots.slots, 0)
        else:
            for part in reversed(newest_apart(slots, left)):
                found.append(_Due(part, None, left > 0))
                left -= left > 0
    found.reverse()
    return found


def _fired(slots: Stretch) -> _Verdict:
    # With its slot, it never equals its neighbour: each fired slot is an event of its own.
    version = slots.phase.definition_version
    return _Verdict(EventType.SLOT_FIRED, None, version, {"slot": slots.first})


def _skipped(slots: Stretch, reason: Reason, evidence: Mapping[str, Any]) -> _Verdict:
    return _Verdict(EventType.SLOT_SKIPPED, reason, slots.phase.definition_version, evidence)


def _missed(slots: Stretch, reason: Reason, evidence: Mapping[str, Any]) -> _Verdict:
    return _Verdict(EventType.SLOT_MISSED, reason, slots.phase.definition_version, evidence)


class _Running(NamedTuple):
    run_id: UUID
    slot: datetime | None
    started_at: datetime | None
    worker: str


def _newest_open_run(state: CronState, now: datetime) -> _Running | None:
    active = [run for run in state.open_runs.values() if run.is_due(now)]
    return _newest(active) if active else None


def _newest(runs: Iterable[OpenRun]) -> _Running:
    run = max(runs, key=lambda run: run.requested_at)
    return _Running(run.run_id, run.slot, run.started_at, run.worker)


def _too_many_refused(state: CronState, limits: Limits) -> dict[str, Any]:
    """The evidence, or nothing: a cron that RQ takes no job for must not pile up runs for ever."""
    if len(state.open_runs) < limits.refused_runs_max:
        return {}
    refused = [run for run in state.open_runs.values() if run.refused]
    if len(refused) < limits.refused_runs_max:
        return {}
    return {**_run_evidence(_newest(refused)), keys.EVIDENCE_REFUSED_RUNS: len(refused)}


def _may_fire(policy: Definition, limits: Limits) -> int:
    """How many of the newest slots catch-up lets through, before lateness and overlap."""
    if policy.catch_up is CatchUp.ALL and policy.overlap is not Overlap.QUEUE:
        return limits.catch_up_slots_max
    return 1


def _too_late(policy: Definition, slots: Stretch, now: datetime, limits: Limits) -> bool:
    bound = late_bound(policy, limits.grace)
    return bound is not None and now - slots.first - slots.definition.delay(slots.first) > bound


def _bound(policy: Definition, limits: Limits) -> dict[str, Any]:
    bound = policy.max_lateness_seconds
    if policy.catch_up is not CatchUp.NONE:
        return {keys.EVIDENCE_MAX_LATENESS_SECONDS: bound}
    grace = limits.grace.total_seconds()
    return {
        keys.EVIDENCE_CATCH_UP: "none",
        keys.EVIDENCE_MAX_LATENESS_SECONDS: grace if bound is None else min(grace, bound),
    }


def _pause(
    slots: Stretch, state: CronState, now: datetime, all_paused: GlobalPauses
) -> tuple[Reason, Pause] | None:
    """What stops the slot: in force at the slot, or now, when it would run late."""
    disabled = slots.phase.disabled or state.phases[-1].disabled
    if disabled is not None:
        return Reason.DISABLED, disabled
    for pause in (slots.phase.pause, state.phases[-1].pause):
        if pause is not None and (pause.covers(slots.first) or pause.covers(now)):
            return Reason.PAUSED, pause
    everything = all_paused.at(slots.first) or all_paused.at(now)
    return (Reason.ALL_PAUSED, everything) if everything else None


def _run_evidence(run: _Running) -> dict[str, Any]:
    return {
        keys.EVIDENCE_RUN_ID: str(run.run_id),
        keys.EVIDENCE_SLOT: run.slot.isoformat() if run.slot else None,
        keys.EVIDENCE_STARTED_AT: run.started_at.isoformat() if run.started_at else None,
        keys.EVIDENCE_WORKER: run.worker,
    }


class _EventBuilder:
    """Turns verdicts into events with the next versions of the stream."""

    def __init__(self, state: CronState, now: datetime, actor: str, held_up: HeldUp | None) -> None:
        self.events: list[Event] = []
        self._state = state
        self._now = now
        self._actor = actor
        self._held_up = held_up

    def passed_over(self, verdict: _Verdict, first: datetime, last: datetime, count: int) -> None:
        """One event for slots of one verdict."""
        what = PassedOver(
            reason=verdict.reason or "",
            first=first,
            last=last,
            count=count,
            definition_version=verdict.definition_version,
            evidence=verdict.evidence,
            **self._place(),
        )
        if verdict.type is EventType.SLOT_SKIPPED:
            self.events.append(make.slot_skipped(**what))
        else:
            self.events.append(make.slot_missed(held_up=self._held_up_at(last), **what))

    def fired(self, slots: Stretch) -> None:
        slot = slots.first
        delay = min(slots.definition.delay(slot), self._now - slot)
        lateness = self._now - slot - delay
        run_id = run_id_for_slot(self._state.name, slot)
        event = make.slot_fired(
            slot=slot,
            run_id=run_id,
            lateness_seconds=round(lateness.total_seconds(), 6),
            jitter_seconds=round(delay.total_seconds(), 6) if delay else None,
            definition_version=slots.phase.definition_version,
            held_up=self._held_up_at(slot),
            recovered=_told_by_log(self._state.early_runs.get(run_id)),
            **self._place(),
        )
        self.events.append(event)

    def _place(self) -> InCron:
        return InCron(
            cron=self._state.name,
            version=self._state.version + len(self.events) + 1,
            actor=self._actor,
            at=self._now,
        )

    def _held_up_at(self, slot: datetime) -> Mapping[str, Any] | None:
        held_up = self._held_up
        if held_up is None or not held_up.since <= slot <= held_up.until:
            return None
        return held_up.data
