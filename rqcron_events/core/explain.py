"""Why a cron did or did not fire at an instant: a verdict, a sentence and the evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from .definition import Definition
from .events import OUTCOMES, Event, EventType, Reason
from .state import CronState, Phase

__all__ = [
    "Downtime",
    "Explanation",
    "RunSummary",
    "Verdict",
    "explain_slot",
    "phase_at",
    "run_summary",
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
class RunSummary:
    """What became of a run, out of its events."""

    id: UUID
    status: str
    """requested, enqueued, running, retrying, succeeded, failed, stopped, cancelled, declined,
    lost."""
    trigger: str
    queue: str
    enqueued_at: datetime | None
    started_at: datetime | None
    """First attempt."""
    finished_at: datetime | None
    attempts: int
    worker: str
    duration_seconds: float | None
    reason: str
    error: dict[str, Any] | None
    """type, message and traceback of the last failure."""

    def to_data(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "status": self.status,
            "trigger": self.trigger,
            "queue": self.queue,
            "enqueued_at": _iso(self.enqueued_at),
            "started_at": _iso(self.started_at),
            "finished_at": _iso(self.finished_at),
            "attempts": self.attempts,
            "worker": self.worker,
            "duration_seconds": self.duration_seconds,
            "reason": self.reason,
            "error": self.error,
        }


class Downtime(NamedTuple):
    """A stretch of time in which no runner was alive."""

    since: datetime | None
    """When the last runner ended or was last heard of; None when there never was one."""
    until: datetime | None
    """When the next one started; None while there is none."""


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
    """The stretch around the slot in which no runner was alive, when that is why it is late."""
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
            "downtime": {
                "since": _iso(self.downtime.since),
                "until": _iso(self.downtime.until),
            }
            if self.downtime
            else None,
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


def run_summary(run_id: UUID, events: Sequence[Event]) -> RunSummary:
    """Fold a run's events (its decision or request among them) into what people ask for."""
    status, trigger, queue, worker, reason = "requested", "slot", "", "", ""
    enqueued_at = started_at = finished_at = None
    attempts, duration, error = 0, None, None
    for event in events:
        match event.type:
            case EventType.RUN_REQUESTED:
                trigger = event.data.get("trigger", "manual")
            case EventType.RUN_ENQUEUED:
                queue, enqueued_at = event.data.get("queue", ""), event.occurred_at
                if status == "requested":
                    status = "enqueued"
            case EventType.ENQUEUE_FAILED:
                queue = event.data.get("queue", "")
            case EventType.RUN_STARTED:
                status, worker = "running", event.actor
                started_at = started_at or event.occurred_at
                attempts = max(attempts, event.attempt or 1)
            case EventType.ATTEMPT_FAILED:
                status, reason, error = "retrying", event.reason, event.data.get("error")
            case _ if event.type in OUTCOMES:
                status = event.type.value.removeprefix("run_")
                finished_at, reason = event.occurred_at, event.reason
                duration = event.data.get("duration_seconds")
                error = event.data.get("error") if status != "succeeded" else None
                worker = worker or event.actor
            case _:
                pass
    return RunSummary(
        id=run_id,
        status=status,
        trigger=trigger,
        queue=queue,
        enqueued_at=enqueued_at,
        started_at=started_at,
        finished_at=finished_at,
        attempts=attempts,
        worker=worker,
        duration_seconds=duration,
        reason=reason,
        error=error,
    )


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
) -> Explanation:
    """Judge one instant of a known cron.

    ``state`` holds all phases ever in force; ``decision`` is the recorded event that covers the
    instant, if there is one; ``run_events`` belong to the run that it fired; ``waits_for`` says
    what an undecided slot in the past waits for; ``downtime`` is given when no runner was alive.
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
    show = _shower(definition)
    if decision is None and not is_slot:
        return Explanation(
            verdict=Verdict.NOT_A_SLOT,
            reason="not_a_slot",
            summary=f"{state.name} is not due at {show(at)}: its schedule "
            f"{definition.schedule_text!r} has the slots {show(common['previous_slot'])} before "
            f"and {show(common['next_slot'])} after.",
            events=evidence,
            **common,
        )
    if decision is None:
        reason, summary = _why_pending(state, at, now, show, phase, waits_for)
        if reason == "undecided":
            summary += _downtime_text(downtime, show, "; ", ". Start cron_run or cron_worker")
            summary += "." if downtime else "; one is alive and will."
        return Explanation(
            verdict=Verdict.PENDING,
            reason=reason,
            downtime=downtime,
            summary=summary,
            slot=at,
            events=evidence,
            **common,
        )
    events = sorted({e.id: e for e in [*evidence, decision, *run_events]}.values(), key=_by_id)
    if decision.type is EventType.SLOT_FIRED and decision.run_id is not None:
        run = run_summary(decision.run_id, run_events)
        lateness = decision.data.get("lateness_seconds")
        return Explanation(
            verdict=Verdict.FIRED,
            reason=run.reason,
            summary=f"{state.name} fired for {show(at)}, {_late(lateness)}"
            f"{_downtime_text(downtime, show, ' (', ')')}; {_run_text(run)}.",
            downtime=downtime,
            slot=at,
            lateness_seconds=lateness,
            run=run,
            events=events,
            **common,
        )
    verdict = Verdict.SKIPPED if decision.type is EventType.SLOT_SKIPPED else Verdict.MISSED
    return Explanation(
        verdict=verdict,
        reason=decision.reason,
        summary=f"{state.name} {verdict.value.replace('skipped', 'was skipped at')} "
        f"{show(at)}: {_why_not(decision, show)}"
        f"{_downtime_text(downtime, show, '; ', '')}.",
        slot=at,
        downtime=downtime,
        events=events,
        **common,
    )


def _not_registered(
    state: CronState, at: datetime, phase: Phase | None, definition_events: Sequence[Event]
) -> Explanation:
    definition = state.last_definition
    show = _shower(definition)
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
    state: CronState, at: datetime, now: datetime, show: Any, phase: Phase | None, waits_for: str
) -> tuple[str, str]:
    if at > now:
        pause = phase.pause if phase else None
        if pause is not None and pause.covers(at):
            return "paused", (
                f"{state.name} is paused by {pause.actor or 'somebody'}{_because(pause.reason)}, so "
                f"its slot {show(at)} will be skipped unless it is resumed before."
            )
        return (
            "future",
            f"{state.name} is due at {show(at)}, in {_duration((at - now).total_seconds())}.",
        )
    late = _duration((now - at).total_seconds())
    if waits_for:
        return "waiting", f"{state.name} was due at {show(at)}, {late} ago, and {waits_for}."
    return "undecided", (
        f"{state.name} was due at {show(at)}, {late} ago, and no runner has decided it yet"
    )


def _why_not(decision: Event, show: Any) -> str:
    evidence = decision.data.get("evidence", {})
    text = _REASON_TEXTS.get(decision.reason, decision.reason)
    if decision.reason == Reason.OVERLAP and evidence.get("run_id"):
        since = evidence.get("started_at")
        state = (
            f"was running since {show(datetime.fromisoformat(since))} on {evidence.get('worker')}"
            if since
            else "had not ended"
        )
        slot = evidence.get("slot")
        of = f" for {show(datetime.fromisoformat(slot))}" if slot else ""
        text = f"run {evidence['run_id'][:8]}{of} {state}"
    elif decision.reason in (Reason.PAUSED, Reason.ALL_PAUSED):
        what = "it was" if decision.reason == Reason.PAUSED else "all crons were"
        until = evidence.get("until")
        text = (
            f"{what} paused by {evidence.get('actor') or 'somebody'} at "
            f"{show(datetime.fromisoformat(evidence['since']))}"
            f"{' until ' + show(datetime.fromisoformat(until)) if until else ''}"
            f"{_because(evidence.get('reason', ''))}"
        )
    elif decision.reason == Reason.TOO_LATE:
        late = (
            decision.occurred_at - datetime.fromisoformat(decision.data["first"])
        ).total_seconds()
        bound = evidence.get("max_lateness_seconds")
        text = f"it was decided {_duration(late)} late"
        if bound is not None:
            text += f", more than the {_duration(bound)} that is allowed"
    count = decision.data.get("count", 1)
    return f"{text} (one of {count} slots in a row)" if count > 1 else text


def _downtime_text(downtime: Downtime | None, show: Any, before: str, after: str) -> str:
    if downtime is None:
        return ""
    since = f" from {show(downtime.since)}" if downtime.since else ""
    until = f" to {show(downtime.until)}" if downtime.until else " until now"
    return f"{before}no runner was alive{since}{until}{after}"


_REASON_TEXTS: dict[str, str] = {
    Reason.SUPERSEDED: "a later slot of the same catch-up ran instead",
    Reason.RETIRED: "the cron left the code before any runner decided it",
    Reason.OVERLAP: "an earlier run had not ended",
    Reason.TOO_LATE: "it was decided too late",
}


def _run_text(run: RunSummary) -> str:
    took = f" in {_duration(run.duration_seconds)}" if run.duration_seconds is not None else ""
    tries = f" after {run.attempts} attempts" if run.attempts > 1 else ""
    match run.status:
        case "requested":
            return "its run is decided but not yet in Redis"
        case "enqueued":
            return f"its run waits in queue {run.queue!r}"
        case "running":
            return f"its run is being executed (attempt {run.attempts}) by {run.worker}"
        case "retrying":
            return f"attempt {run.attempts} of its run failed{_error_text(run)} and RQ tries again"
        case "succeeded":
            return f"its run succeeded{took}{tries}"
        case "failed":
            return f"its run failed{took}{tries}{_error_text(run)}"
        case "declined":
            return f"its run found nothing to do{_because(run.reason)}"
        case _:
            return f"its run was {run.status}{_because(run.reason)}"


def _error_text(run: RunSummary) -> str:
    if run.error and run.error.get("type"):
        return f": {run.error['type']}: {run.error.get('message', '')}".rstrip(": ")
    return _because(run.reason)


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


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


def _shower(definition: Definition | None) -> Any:
    """Times in the cron's zone, with UTC beside it when that is another."""
    zone = ZoneInfo(definition.timezone) if definition else UTC

    def show(instant: datetime | None) -> str:
        if instant is None:
            return "never"
        local = instant.astimezone(zone)
        text = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
        if local.utcoffset():
            text += f" ({instant.astimezone(UTC):%H:%M:%S} UTC)"
        return text

    return show


def _late(seconds: float | None) -> str:
    if seconds is None or seconds < 0.0005:
        return "on time"
    return f"{_duration(seconds)} late"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)


def _by_id(event: Event) -> int:
    return event.id or 0


def _iso(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None


_TICK = datetime.resolution
