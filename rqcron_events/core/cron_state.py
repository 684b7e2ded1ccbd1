"""What is known of a cron, folded from its events.

``CronState.apply`` is the fold. It changes the state in place (a copy per event would make the
fold quadratic in the number of open runs) but reads nothing except its arguments. What a state holds
never changes itself, so a copy for another thread is as cheap as one of its lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from .definition import Definition
from .events import DECISIONS, OUTCOMES, Event, EventType, Reason, cron_stream
from .events.keys import (
    ARGS,
    DEFINITION,
    DEFINITION_VERSION,
    ERROR,
    ERROR_TYPE,
    KWARGS,
    NOT_BEFORE,
    QUEUE,
    RECOVERED,
    RECOVERED_CREATED_AT,
    RECOVERED_OUTCOME,
    TRIGGER,
    UNTIL,
)
from .interventions.pauses import GlobalPauses, Pause
from .interventions.rewind import Kept, Rewind, is_kept
from .run_state import OpenRun, attempt_number, check_run_event

__all__ = ["CronState", "OpenRun", "Phase", "refusal_cause", "why_not_foldable"]

EARLY_RUNS_MAX = 1_000
_WITH_RUN = (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of time with one definition in force: the slots later than ``start``."""

    start: datetime
    definition: Definition | None
    """None while the cron is retired."""
    definition_version: int
    """1 at registration, one more with each change and return."""
    pause: Pause | None = None
    disabled_since: datetime | None = None
    """Since when the definitions in force disable the cron."""

    @property
    def disabled(self) -> Pause | None:
        """What disables the cron, as a pause that only another definition ends; None: nothing."""
        if self.definition is None or self.disabled_since is None:
            return None
        return Pause(
            since=self.disabled_since, until=None, reason=self.definition.disabled, actor=""
        )

    @property
    def is_readable(self) -> bool:
        """Whether its slots are known: not when its definition is one that is refused today."""
        try:
            _ = self.definition.schedule if self.definition else None
        except ValueError:
            return False
        return True


@dataclass(slots=True)
class CronState:
    """Everything that deciding needs to know about one cron."""

    name: str
    version: int = 0
    """Version of the last event of the cron's own stream that is folded in."""
    watermark: datetime | None = None
    """Every slot promised up to here is covered by a decision."""
    phases: list[Phase] = field(default_factory=list)
    """In order; the first is the one in force at the watermark."""
    open_runs: dict[UUID, OpenRun] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()
    """Slots past the watermark that fired ahead of their time, before a rewind."""
    early_runs: dict[UUID, OpenRun] = field(default_factory=dict)
    """Runs of slots past the watermark of which a worker wrote before they were decided here: the
    decision that it knows is in a log that is lost, or in the one of the other side of a split."""
    rewound_version: int = 0
    """Version of the last rewind; decisions before it end where it begins."""

    @property
    def current(self) -> Phase | None:
        return self.phases[-1] if self.phases else None

    @property
    def definition(self) -> Definition | None:
        """The definition that was logged last, or None before registration and when retired."""
        return self.phases[-1].definition if self.phases else None

    @property
    def last_definition(self) -> Definition | None:
        """The same, but a retired cron still answers with what it was."""
        for phase in reversed(self.phases):
            if phase.definition is not None:
                return phase.definition
        return None

    @property
    def present_name(self) -> str:
        """What the code that was last deployed calls it; ``name`` is the stored name."""
        definition = self.last_definition
        return definition.present_name if definition else self.name

    def apply(self, event: Event) -> None:
        """Fold one event in. Events that are already in are ignored."""
        if event.stream == cron_stream(self.name):
            if event.version <= self.version:
                return
            self.version = event.version
            self._apply_own(event)
        elif event.run_id is not None:
            self._apply_run(event, event.run_id)

    def _apply_own(self, event: Event) -> None:
        if event.type in _WITH_RUN and event.run_id is None:
            raise ValueError("it has no run_id")
        if event.type in DECISIONS and event.scheduled_for is None:
            raise ValueError("it has no scheduled_for")
        match event.type:
            case EventType.CRON_REGISTERED | EventType.CRON_CHANGED:
                self._begin(event, Definition.from_data(event.data[DEFINITION]))
            case EventType.CRON_RETIRED:
                self._begin(event, None)
            case EventType.CRON_PAUSED:
                start = event.effective_from
                pause = Pause(
                    since=start,
                    until=event.parsed_time(UNTIL),
                    reason=event.reason,
                    actor=event.actor,
                )
                self._set_pause(start, pause)
            case EventType.CRON_RESUMED:
                self._set_pause(event.effective_from, None)
            case EventType.CRON_REWOUND:
                self._rewind(Rewind.of(event))
            case EventType.SLOT_FIRED | EventType.RUN_REQUESTED if _has_ended(event):
                pass
            case EventType.SLOT_FIRED | EventType.RUN_REQUESTED if event.run_id is not None:
                self._open(event, event.run_id)
            case _:
                pass
        if event.type in DECISIONS and event.scheduled_for is not None:
            self.advance(event.scheduled_for)

    def _open(self, event: Event, run_id: UUID) -> None:
        early = self.early_runs.get(run_id)
        if early is not None and early.outcome:
            return
        # A slot's is asked for by a runner, whose clock is right enough.
        recorded_at = None if event.type in DECISIONS else event.recorded_at
        asked = OpenRun(
            run_id=run_id,
            slot=event.scheduled_for,
            requested_at=_requested_at(event),
            trigger=event.data.get(TRIGGER, "slot"),
            not_before=event.parsed_time(NOT_BEFORE),
            args=event.data.get(ARGS),
            kwargs=event.data.get(KWARGS),
            recorded_at=recorded_at,
        )
        if early is not None:
            asked = early._replace(
                requested_at=asked.requested_at,
                trigger=asked.trigger,
                not_before=asked.not_before,
                args=asked.args,
                kwargs=asked.kwargs,
            )
        self.open_runs[run_id] = asked

    def advance(self, watermark: datetime) -> None:
        """Every slot up to there is decided: what was in force before is of no use any more."""
        self.watermark = watermark
        if self.kept:
            self.kept = tuple(stretch for stretch in self.kept if stretch.last > watermark)
        if self.early_runs:
            early = self.early_runs.items()
            self.early_runs = {key: run for key, run in early if run.slot and run.slot > watermark}
        while len(self.phases) > 1 and self.phases[1].start <= watermark:
            del self.phases[0]

    def _rewind(self, rewind: Rewind) -> None:
        """What is in force now is so from there on, whatever clock said when it began."""
        if not self.phases:
            return
        last, start = self.phases[-1], rewind.start
        pause = last.pause
        if pause is not None and pause.since > start:
            pause = replace(pause, since=start)
        disabled_since = last.disabled_since and min(last.disabled_since, start)
        before = [phase for phase in self.phases if phase.start < start]
        now = replace(last, start=start, pause=pause, disabled_since=disabled_since)
        self.phases = [*before, now]
        self.watermark, self.kept, self.rewound_version = start, rewind.kept, rewind.version

    def _begin(self, event: Event, definition: Definition | None) -> None:
        start = event.effective_from
        pause = self.phases[-1].pause if self.phases else None
        if definition is not None and self.definition is None:
            pause = None  # a cron that comes back starts afresh
        disabled_since = None
        if definition is not None and definition.disabled:
            disabled_since = (self.phases[-1].disabled_since if self.phases else None) or start
        self.phases.append(
            Phase(
                start=start,
                definition=definition,
                definition_version=int(event.data.get(DEFINITION_VERSION, 0)),
                pause=pause,
                disabled_since=disabled_since,
            )
        )
        if self.watermark is None:
            self.watermark = start

    def _set_pause(self, start: datetime, pause: Pause | None) -> None:
        if not self.phases:
            return
        last = self.phases[-1]
        self.phases.append(
            Phase(
                start=start,
                definition=last.definition,
                definition_version=last.definition_version,
                pause=pause.instead_of(last.pause) if pause else None,
                disabled_since=last.disabled_since,
            )
        )

    def _apply_run(self, event: Event, run_id: UUID) -> None:
        check_run_event(event)
        run = self.open_runs.get(run_id) or self._early_run(event, run_id)
        if run is None:
            return
        runs = self.open_runs if run_id in self.open_runs else self.early_runs
        if event.type in OUTCOMES:
            if runs is self.early_runs:
                runs[run_id] = run._replace(outcome=event.type.value)
            else:
                del runs[run_id]
            return
        heard: dict[str, Any] = {"last_event_at": event.occurred_at}
        if event.recorded_at is not None:
            heard["recorded_at"] = event.recorded_at
        match event.type:
            case EventType.RUN_ENQUEUED:
                heard |= {"enqueued_at": event.occurred_at, "refused": ""}
            case EventType.ENQUEUE_FAILED:
                heard["enqueue_failed"] = True
                if event.reason == Reason.REFUSED:
                    kind = (event.data.get(ERROR) or {}).get(ERROR_TYPE, "")
                    heard["refused"] = refusal_cause(event.data.get(QUEUE, ""), kind)
            case EventType.RUN_STARTED:
                heard |= {
                    "started_at": event.occurred_at,
                    "worker": event.actor,
                    "attempt": attempt_number(event, run.attempt),
                    "start_refused": False,
                }
            case EventType.ATTEMPT_FAILED:
                heard["started_at"] = None
            case EventType.START_REFUSED:
                heard["start_refused"] = True
            case _:
                pass
        runs[run_id] = run._replace(**heard)

    def copy(self) -> Self:
        """One that another thread may read and fold on."""
        return replace(
            self,
            phases=list(self.phases),
            open_runs=dict(self.open_runs),
            early_runs=dict(self.early_runs),
        )

    def _early_run(self, event: Event, run_id: UUID) -> OpenRun | None:
        slot = event.scheduled_for
        if slot is None or self.watermark is None or slot <= self.watermark:
            return None  # it has ended
        if is_kept(self.kept, slot):
            return None
        known = self.early_runs.get(run_id)
        if known is None and len(self.early_runs) < EARLY_RUNS_MAX:
            known = OpenRun(run_id=run_id, slot=slot, requested_at=event.occurred_at)
            self.early_runs[run_id] = known
        return known

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, for the snapshot."""
        return {
            "version": self.version,
            "watermark": _iso(self.watermark),
            "kept": [[first.isoformat(), last.isoformat()] for first, last in self.kept],
            "rewound_version": self.rewound_version,
            "phases": [
                {
                    "start": phase.start.isoformat(),
                    "definition": phase.definition.to_data() if phase.definition else None,
                    "definition_version": phase.definition_version,
                    "pause": phase.pause.to_data() if phase.pause else None,
                    "disabled_since": _iso(phase.disabled_since),
                }
                for phase in self.phases
            ],
            "open_runs": [run.to_data() for run in self.open_runs.values()],
            "early_runs": [run.to_data() for run in self.early_runs.values()],
        }

    @classmethod
    def from_data(cls, name: str, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_data`."""
        phases = [
            Phase(
                start=datetime.fromisoformat(phase["start"]),
                definition=Definition.from_data(phase["definition"])
                if phase["definition"]
                else None,
                definition_version=phase["definition_version"],
                pause=Pause.from_data(phase["pause"]) if phase["pause"] else None,
                disabled_since=_time(phase["disabled_since"]),
            )
            for phase in data["phases"]
        ]
        return cls(
            name=name,
            version=data["version"],
            watermark=_time(data["watermark"]),
            phases=phases,
            open_runs=_runs_by_id(data["open_runs"]),
            early_runs=_runs_by_id(data["early_runs"]),
            kept=tuple(Kept(*map(datetime.fromisoformat, pair)) for pair in data["kept"]),
            rewound_version=data["rewound_version"],
        )


def _runs_by_id(rows: Iterable[dict[str, Any]]) -> dict[UUID, OpenRun]:
    return {run.run_id: run for run in map(OpenRun.from_data, rows)}


def refusal_cause(queue: str, error_type: str) -> str:
    """Equal for two refusals of which the second says nothing new."""
    return f"{error_type} in {queue}"


def _requested_at(event: Event) -> datetime:
    """A decision that was recovered was made when its job was."""
    made_at = event.data.get(RECOVERED, {}).get(RECOVERED_CREATED_AT)
    return datetime.fromisoformat(made_at) if made_at else event.occurred_at


def _has_ended(event: Event) -> bool:
    """A decision that was recovered after the outcome of its run was written."""
    return bool(event.data.get(RECOVERED, {}).get(RECOVERED_OUTCOME))


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def why_not_foldable(event: Event, *folds: CronState | GlobalPauses) -> Exception | None:
    """What folding an event into each of these, all of them empty, raises; None: it can be folded."""
    try:
        for fold in folds:
            fold.apply(event)
    except Exception as error:
        return error
    return None
