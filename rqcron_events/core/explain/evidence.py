"""What one instant of a cron is judged by, and what follows from it before any verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from ..codec import Unreadable
from ..cron_state import CronState, Phase
from ..definition import Definition
from ..downtime import Downtime
from ..events import Event, EventType, Reason, keys
from ..expected_slots import promises, slots_around
from ..interventions.pauses import GlobalPauses, Pause
from ..wording import Show, shower
from .clock_change import clock_change_text
from .obstacles import Obstacle
from .run import Request

__all__ = ["Evidence", "Waited", "is_promised", "phase_at", "version_start", "why_unreadable"]


class Waited(NamedTuple):
    """The run that a slot waited for (``overlap="queue"``)."""

    run_id: UUID
    until: datetime
    """When it ended."""


@dataclass(frozen=True, kw_only=True)  # no slots: cached_property keeps its values in __dict__
class Evidence:
    """What is recorded about one instant of a known cron.

    The fields are what ``queries.explain`` loads; the properties follow from them. All events stand
    in the order of the log.
    """

    state: CronState
    """Every definition and pause that was ever in force, and the watermark."""
    at: datetime
    """The instant that somebody asks about."""
    now: datetime
    """When they ask."""
    decision: Event | None
    """The one that covers the instant."""
    definition_events: Sequence[Event]
    """The cron's own definitions, pauses and resumptions (``DEFINITION_TYPES``)."""
    all_pauses: Sequence[Event] = ()
    """The pauses of everything and their ends."""
    unreadable_pauses: Sequence[Unreadable] = ()
    """Those that cannot be read."""
    requests: Sequence[Event] = ()
    """Further runs of the slot that people asked for."""
    run_events: Sequence[Event] = ()
    """Of the run that the slot became, or of the active run that it was skipped for."""
    instead: Event | None = None
    """The decision about the later slot that ran in the place of a superseded one."""
    waits_for: UUID | None = None
    """The run whose end an undecided slot waits for (``overlap="queue"``)."""
    waited: Waited | None = None
    """The same, of a slot that is decided."""
    downtime: Downtime | None = None
    """Why nobody could decide the slot at once, or yet."""
    obstacles: Sequence[Obstacle] = ()
    """What keeps a slot that is not decided, or a run that has not ended, from going on now."""
    runner_events: Sequence[Event] = ()
    """The starts and ends of runners that tell of the downtime."""

    @property
    def name(self) -> str:
        """What the cron is called now."""
        return self.state.present_name

    @cached_property
    def phase(self) -> Phase | None:
        return phase_at(self.state, self.at)

    @cached_property
    def definition(self) -> Definition | None:
        """The one in force; when there is none, the cron's last one."""
        in_force = self.phase.definition if self.phase else None
        return in_force or self.state.last_definition

    @cached_property
    def show(self) -> Show:
        """How times are shown: in the cron's zone."""
        return shower(self.definition)

    @property
    def is_registered(self) -> bool:
        return self.phase is not None and self.phase.definition is not None

    @cached_property
    def is_slot(self) -> bool:
        return is_promised(self.state, self.at)

    @property
    def is_unaccounted(self) -> bool:
        """Slots are decided in order, so there should be a decision, and there is none."""
        watermark = self.state.watermark
        undecided = self.decision is None and self.is_slot
        return undecided and watermark is not None and self.at <= watermark

    @property
    def is_overdue(self) -> bool:
        """It has come, and is not decided yet."""
        undecided = self.decision is None and self.is_slot
        return undecided and self.at <= self.now and not self.is_unaccounted

    @property
    def jitter_ahead(self) -> timedelta | None:
        """The delay that an overdue slot waits for."""
        if self.definition is None:
            return None
        delay = self.definition.delay(self.at)
        return delay if delay and self.at + delay > self.now else None

    @property
    def pause_ahead(self) -> tuple[Reason, Pause] | None:
        """What will stop a slot to come, as far as people have decided."""
        disabled = self.phase.disabled if self.phase else None
        if disabled is not None:
            return Reason.DISABLED, disabled
        own = self.phase.pause if self.phase else None
        if own is not None and own.covers(self.at):
            return Reason.PAUSED, own
        everything = GlobalPauses()
        told: list[Event | Unreadable] = [*self.all_pauses, *self.unreadable_pauses]
        for item in sorted(told, key=lambda item: item.version):
            if isinstance(item, Event):
                everything.apply(item)
            else:
                everything.apply_unreadable(item)
        pause = everything.at(self.at)
        return (Reason.ALL_PAUSED, pause) if pause else None

    @property
    def resumed(self) -> Event | None:
        """Who ended the pause that the decision is about, if somebody did."""
        kinds = _PAUSE_AND_END.get(self.decision.reason) if self.decision else None
        if kinds is None:
            return None
        for event in (*self.definition_events, *self.all_pauses):
            if event.occurred_at >= self.at and event.type in kinds:
                return event if event.type is kinds[1] else None
        return None

    @cached_property
    def unreadable(self) -> str:
        """Why the definition in force cannot be read today; empty when it can."""
        return why_unreadable(self.phase.definition if self.phase else None)

    @cached_property
    def clock_change(self) -> str:
        """What a change of the clocks did to the slot, in words."""
        if why_unreadable(self.definition):
            return ""
        fired = self.decision is not None and self.decision.type is EventType.SLOT_FIRED
        return clock_change_text(self.definition, self.at, ran=fired) if self.definition else ""

    @cached_property
    def further_runs(self) -> list[Request]:
        return [Request.from_event(event) for event in self.requests]

    @cached_property
    def slots_around(self) -> tuple[datetime | None, datetime | None]:
        """The promised slots before and after the instant."""
        return slots_around(promises(self.state.phases), self.at)

    def definition_in_force(self) -> list[Event]:
        """The event that brought the definition in force, and the pauses after it."""
        chosen: list[Event] = []
        for event in self.definition_events:
            if event.effective_from >= self.at:
                continue
            chosen = [event] if event.type in _NEW_DEFINITION else [*chosen[:1], event]
        return chosen

    def pause_of_all_in_force(self) -> list[Event]:
        """The event that paused everything, if that holds at the instant."""
        before = [event for event in self.all_pauses if event.effective_from < self.at]
        if not before or before[-1].type is EventType.ALL_RESUMED:
            return []
        until = before[-1].parsed_time(keys.UNTIL)
        return [] if until is not None and until < self.at else before[-1:]


def phase_at(state: CronState, instant: datetime) -> Phase | None:
    """The phase whose slots include this instant, or None before registration."""
    for phase in reversed(state.phases):
        if phase.start < instant:
            return phase
    return None


def is_promised(state: CronState, instant: datetime) -> bool:
    """Whether the definition in force at an instant has a slot there."""
    phase = phase_at(state, instant)
    if phase is None or phase.definition is None or why_unreadable(phase.definition):
        return False
    return phase.definition.schedule.prev_until(instant) == instant


def why_unreadable(definition: Definition | None) -> str:
    """Why a logged definition cannot be read today, as when its zone left the tz database."""
    try:
        _ = definition.schedule if definition else None
    except ValueError as error:
        return str(error)
    return ""


def version_start(state: CronState, phase: Phase | None) -> datetime | None:
    """When the definition of a phase came into force; pauses begin phases, too."""
    if phase is None:
        return None
    return min(p.start for p in state.phases if p.definition_version == phase.definition_version)


_NEW_DEFINITION = (EventType.CRON_REGISTERED, EventType.CRON_CHANGED, EventType.CRON_RETIRED)
_PAUSE_AND_END: dict[str, tuple[EventType, EventType]] = {
    Reason.PAUSED: (EventType.CRON_PAUSED, EventType.CRON_RESUMED),
    Reason.ALL_PAUSED: (EventType.ALL_PAUSED, EventType.ALL_RESUMED),
}
