"""What the log says of a cron's definitions: each version, what it changed, and what is in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rqcron_events.core.cron_state import CronState
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import DEFINITION_TYPES, Event, EventType, keys
from rqcron_events.core.expected_slots import Promise, promises
from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.schedule.slot_count import count_slots
from rqcron_events.core.wording import clause
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, put_back

__all__ = ["Change", "History", "Version", "history_of"]

EVENTS_MAX = 2_000
"""Of definitions and pauses; of a cron that has more, the newest ones are read."""
WEEK = timedelta(days=7)
VALUE_CHARACTERS_MAX = 400
_DEFINES = frozenset({EventType.CRON_REGISTERED, EventType.CRON_CHANGED, EventType.CRON_RETIRED})


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a definition."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One event that brought another definition, or took it away."""

    event: Event
    number: int
    what: str
    """registered, changed or retired"""
    changes: tuple[Change, ...] = ()
    slots_before: int | None = None
    """In the week that followed, by the definition before; None: it had none, or unreadable."""
    slots_after: int | None = None

    @property
    def at(self) -> datetime:
        return self.event.effective_from

    @property
    def changes_slots(self) -> bool:
        return self.slots_before is not None and self.slots_after is not None


@dataclass(slots=True, kw_only=True)
class History:
    state: CronState
    """Every phase that was ever in force; without its watermark."""
    versions: list[Version] = field(default_factory=list)
    """Newest first."""
    pauses: list[Pause] = field(default_factory=list)
    """Of this cron: each with its end, if it has ended."""
    problems: list[str] = field(default_factory=list)
    """Events that cannot be read or folded."""
    is_whole: bool = True
    """False where only the newest events were read."""

    @property
    def stretches(self) -> list[Promise]:
        return promises(self.state.phases)

    def definition(self, number: int) -> Definition | None:
        """Of a version."""
        for phase in self.state.phases:
            if phase.definition_version == number and phase.definition is not None:
                return phase.definition
        return None


def history_of(name: str) -> History:
    """One query, by the index of definitions."""
    rows = CronEvent.objects.using(store.connection().alias)
    found = rows.filter(cron=name, type__in=sorted(DEFINITION_TYPES)).order_by("-id")
    newest = list(found[: EVENTS_MAX + 1])
    history = History(state=CronState(name), is_whole=len(newest) <= EVENTS_MAX)
    events: list[Event] = []
    for row in reversed(newest[:EVENTS_MAX]):
        try:
            event = row.fact()
            history.state.apply(event)
        except Exception as error:  # what one event holds must not hide the others
            history.problems.append(f"event {row.id} ({row.type}): {clause(error)}")
            continue
        events.append(event)
    history.versions = list(_versions(events))[::-1]
    history.pauses = _pauses(put_back(rows.db, events))
    return history


def _versions(events: Iterable[Event]) -> Iterable[Version]:
    before: Definition | None = None
    number = 0
    for event in events:
        if event.type not in _DEFINES:
            continue
        new = _definition(event)
        number = int(event.data.get(keys.DEFINITION_VERSION) or number)
        counted = (
            event.effective_from if before and new and _schedules_differ(before, new) else None
        )
        yield Version(
            event=event,
            number=number,
            what=event.type.value.removeprefix("cron_"),
            changes=tuple(_changes(before, new)) if event.type is EventType.CRON_CHANGED else (),
            slots_before=_slots(before, counted),
            slots_after=_slots(new, counted),
        )
        before = new


def _definition(event: Event) -> Definition | None:
    if event.type is EventType.CRON_RETIRED:
        return None
    return Definition.from_data(event.data[keys.DEFINITION])


def _schedules_differ(old: Definition, new: Definition) -> bool:
    names = ("expression", "every_seconds", "offset_seconds", "timezone", "disabled")
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _slots(definition: Definition | None, since: datetime | None) -> int | None:
    """That fire in the week after."""
    if definition is None or since is None:
        return None
    if definition.disabled:
        return 0
    try:
        return count_slots(definition.schedule, since, since + WEEK)
    except (ValueError, OverflowError):
        return None


def _changes(old: Definition | None, new: Definition | None) -> Iterable[Change]:
    if new is None:
        return
    before: Mapping[str, Any] = (old or Definition(name=new.name, function="")).to_data()
    after = new.to_data()
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(name, _text(before.get(name)), _text(after.get(name)))


def _text(value: object) -> str:
    if value in (None, "", {}):
        return "default"
    return str(value)[:VALUE_CHARACTERS_MAX]


def _pauses(events: Iterable[Event]) -> list[Pause]:
    found: list[Pause] = []
    for event in events:
        ends = event.type in (EventType.CRON_PAUSED, EventType.CRON_RESUMED, EventType.CRON_RETIRED)
        if ends and found:
            last = found[-1]
            if last.until is None or last.until > event.effective_from:
                found[-1] = Pause(
                    since=last.since,
                    until=event.effective_from,
                    reason=last.reason,
                    actor=last.actor,
                )
        if event.type is EventType.CRON_PAUSED:
            until = event.parsed_time(keys.UNTIL)
            found.append(
                Pause(
                    since=event.effective_from,
                    until=until,
                    reason=event.reason,
                    actor=event.actor,
                )
            )
    return found
