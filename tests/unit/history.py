"""A cron's history in a few words: what people and runners did, and what was decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rqcron_events.core.cron_state import CronState
from rqcron_events.core.decide import Decisions, Limits, decide
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import (
    DECISIONS,
    LEDGER_STREAM,
    Event,
    EventType,
    cron_stream,
    run_stream,
)
from rqcron_events.core.interventions.pauses import GlobalPauses

NAME = "alpha"
CALLS_MAX = 10_000


def at(clock: str) -> datetime:
    """``09:30`` of 2 March 2026, or ``03-05 09:30``; UTC."""
    day, _, time = clock.rpartition(" ")
    return datetime.fromisoformat(f"2026-{day or '03-02'}T{time}").replace(tzinfo=UTC)


def clock_text(instant: datetime) -> str:
    text = instant.strftime("%H:%M:%S").removesuffix(":00")
    return text if instant.date() == at("00:00").date() else f"{instant:%m-%d} {text}"


def definition(schedule: str = "*/10 * * * *", **options: Any) -> Definition:
    return Definition(name=NAME, function="tests:alpha", expression=schedule, **options)


class History:
    """Appends events as the runner and people do, and folds them at once."""

    def __init__(self, **limits: Any) -> None:
        self.state = CronState(NAME)
        self.pauses = GlobalPauses()
        self.events: list[Event] = []
        self.limits = Limits(**limits)

    def register(self, when: datetime, **options: Any) -> None:
        """Register the cron, or change its definition."""
        known = self.state.definition is not None
        current = self.state.current
        self._own(
            EventType.CRON_CHANGED if known else EventType.CRON_REGISTERED,
            when,
            definition=definition(**options).to_data(),
            definition_version=1 + (current.definition_version if current else 0),
        )

    def retire(self, when: datetime) -> None:
        assert self.state.current is not None
        self._own(
            EventType.CRON_RETIRED, when, definition_version=self.state.current.definition_version
        )

    def pause(self, when: datetime, until: datetime | None = None, reason: str = "") -> None:
        self._own(EventType.CRON_PAUSED, when, reason, until=until.isoformat() if until else None)

    def resume(self, when: datetime) -> None:
        self._own(EventType.CRON_RESUMED, when)

    def pause_all(self, when: datetime, until: datetime | None = None, reason: str = "") -> None:
        self._global(EventType.ALL_PAUSED, when, reason, until)

    def resume_all(self, when: datetime) -> None:
        self._global(EventType.ALL_RESUMED, when)

    def run(self, event_type: EventType, slot: datetime, when: datetime, **values: Any) -> None:
        """Something happened to the run of a slot."""
        run_id = self.run_of(slot)
        version = 1 + sum(event.stream == run_stream(run_id) for event in self.events)
        self._add(
            Event(
                stream=run_stream(run_id),
                version=version,
                type=event_type,
                cron=NAME,
                run_id=run_id,
                occurred_at=when,
                **values,
            )
        )

    def run_of(self, slot: datetime) -> UUID:
        [run_id] = [
            event.run_id
            for event in self.events
            if event.type is EventType.SLOT_FIRED and event.scheduled_for == slot
        ]
        assert run_id is not None
        return run_id

    def step(self, now: datetime) -> Decisions:
        """One call of ``decide``, and its events."""
        before = self.state.to_data()
        decisions = decide(
            self.state, now, all_paused=self.pauses, limits=self.limits, actor="runner/one"
        )
        assert self.state.to_data() == before, "decide must not change the state"
        for event in decisions.events:
            assert event.version == self.state.version + 1
            assert event.occurred_at == now
            self._add(event)
        return decisions

    def decide(self, now: datetime) -> list[str]:
        """Everything that is due, in words: ``fired 09:00``, ``paused 09:10-09:30 x3``."""
        told = []
        for _ in range(CALLS_MAX):
            decisions = self.step(now)
            told += [word(event) for event in decisions.events]
            if not decisions.more:
                return told
        raise AssertionError("decide never came to an end")

    def decisions(self) -> list[Event]:
        return [event for event in self.events if event.type in DECISIONS]

    def covered(self) -> list[tuple[datetime, int]]:
        """Each slot that a decision covers, with its definition's version, in order."""
        return [pair for event in self.decisions() for pair in self._slots(event)]

    def promised(self) -> list[tuple[datetime, int]]:
        """The same by plain enumeration of the definitions in force, up to the watermark."""
        marks = [
            event
            for event in self.events
            if event.type
            in (EventType.CRON_REGISTERED, EventType.CRON_CHANGED, EventType.CRON_RETIRED)
        ]
        assert self.state.watermark is not None
        found = []
        for index, event in enumerate(marks):
            if event.type is EventType.CRON_RETIRED:
                continue
            start = effective(event)
            end = self.state.watermark
            if index + 1 < len(marks):
                end = min(end, effective(marks[index + 1]))
            promise = Definition.from_data(event.data["definition"])
            cursor = start
            while (slot := promise.schedule.next_after(cursor)) is not None and slot <= end:
                found.append((slot, event.data["definition_version"]))
                cursor = slot
        return found

    def _slots(self, event: Event) -> Iterator[tuple[datetime, int]]:
        version = event.data["definition_version"]
        assert event.scheduled_for is not None
        if event.type is EventType.SLOT_FIRED:
            yield event.scheduled_for, version
            return
        first, last = event.parsed_time("first"), event.parsed_time("last")
        assert first is not None
        assert last == event.scheduled_for
        promise = next(
            Definition.from_data(mark.data["definition"])
            for mark in self.events
            if mark.type in (EventType.CRON_REGISTERED, EventType.CRON_CHANGED)
            and mark.data["definition_version"] == version
        )
        slots = [first]
        while slots[-1] < last:
            following = promise.schedule.next_after(slots[-1])
            assert following is not None
            slots.append(following)
        assert slots[-1] == last
        assert len(slots) == event.data["count"]
        yield from ((slot, version) for slot in slots)

    def _own(self, event_type: EventType, when: datetime, reason: str = "", **data: Any) -> None:
        # As sync and actions do: never before what is decided or defined already.
        last = [phase.start for phase in self.state.phases[-1:]]
        if self.state.watermark is not None:
            last.append(self.state.watermark)
        self._add(
            Event(
                stream=cron_stream(NAME),
                version=self.state.version + 1,
                type=event_type,
                cron=NAME,
                reason=reason,
                actor="ada",
                occurred_at=when,
                data={**data, "effective_from": max([when, *last]).isoformat()},
            )
        )

    def _global(
        self,
        event_type: EventType,
        when: datetime,
        reason: str = "",
        until: datetime | None = None,
    ) -> None:
        self._add(
            Event(
                stream=LEDGER_STREAM,
                version=self.pauses.version + 1,
                type=event_type,
                reason=reason,
                actor="ada",
                occurred_at=when,
                data={
                    "until": until.isoformat() if until else None,
                    "effective_from": when.isoformat(),
                },
            )
        )

    def _add(self, event: Event) -> None:
        self.events.append(event)
        if event.stream == LEDGER_STREAM:
            self.pauses.apply(event)
        else:
            self.state.apply(event)


def effective(event: Event) -> datetime:
    return event.parsed_time("effective_from") or event.occurred_at


def word(event: Event) -> str:
    assert event.scheduled_for is not None
    if event.type is EventType.SLOT_FIRED:
        return f"fired {clock_text(event.scheduled_for)}"
    first = event.parsed_time("first")
    assert first is not None
    last = clock_text(event.scheduled_for)
    if event.data["count"] == 1:
        return f"{event.reason} {last}"
    return f"{event.reason} {clock_text(first)}-{last} x{event.data['count']}"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
