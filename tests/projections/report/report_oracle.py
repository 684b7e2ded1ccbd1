"""A report the slow way: every slot walked to, every run put together, out of the raw events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import OUTCOMES, Event, EventType

Group = str | date | datetime


@dataclass
class Run:
    run_id: UUID
    cron: str
    instant: datetime
    day: date
    lateness: float | None = None
    queue: str = ""
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    outcome: Event | None = None
    attempts_failed: int = 0


@dataclass
class Slot:
    cron: str
    slot: datetime
    day: date
    what: str
    reason: str


@dataclass
class Log:
    """What the events say."""

    slots: list[Slot] = field(default_factory=list)
    runs: dict[UUID, Run] = field(default_factory=dict)
    definitions: dict[str, list[tuple[datetime, Definition]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    results: list[Run] = field(default_factory=list)
    """Runs in the order of their outcomes."""

    def definition(self, cron: str, at: datetime) -> Definition:
        return [known for start, known in self.definitions[cron] if start < at][-1]

    def day(self, cron: str, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.definition(cron, at).timezone)).date()


def read(events: Iterable[Event]) -> Log:
    log = Log()
    for event in events:
        if not event.cron:
            continue
        if event.type in (EventType.CRON_REGISTERED, EventType.CRON_CHANGED):
            start = datetime.fromisoformat(event.data["effective_from"])
            definition = Definition.from_data(event.data["definition"])
            log.definitions[event.cron].append((start, definition))
        elif event.type in (EventType.SLOT_SKIPPED, EventType.SLOT_MISSED):
            _pass_over(log, event)
        elif event.type in (EventType.SLOT_FIRED, EventType.RUN_REQUESTED):
            at = event.scheduled_for or event.occurred_at
            run = Run(event.run_id, event.cron, at, log.day(event.cron, at))
            log.runs[run.run_id] = run
            if event.type is EventType.SLOT_FIRED:
                run.lateness = event.data["lateness_seconds"]
                log.slots.append(Slot(event.cron, at, run.day, "fired", ""))
        elif event.run_id is not None:
            _progress(log, log.runs[event.run_id], event)
    return log


def _pass_over(log: Log, event: Event) -> None:
    what = "skipped" if event.type is EventType.SLOT_SKIPPED else "missed"
    slot = datetime.fromisoformat(event.data["first"])
    while slot <= event.scheduled_for:
        log.slots.append(Slot(event.cron, slot, log.day(event.cron, slot), what, event.reason))
        slot = log.definition(event.cron, slot).schedule.next_after(slot)


def _progress(log: Log, run: Run, event: Event) -> None:
    if event.type is EventType.RUN_ENQUEUED:
        run.enqueued_at = event.occurred_at
        run.queue = event.data["queue"]
    elif event.type is EventType.RUN_STARTED:
        run.started_at = run.started_at or event.occurred_at
    elif event.type is EventType.ATTEMPT_FAILED:
        run.attempts_failed += 1
    elif event.type in OUTCOMES:
        run.outcome = event
        log.results.append(run)


def expected_report(
    log: Log, covers: Callable[[datetime, date], bool], group: Callable[[Any], Group]
) -> dict[Group, dict[str, Any]]:
    """Per group what the report must say; durations as sorted lists of seconds."""
    found: dict[Group, dict[str, Any]] = defaultdict(
        lambda: {
            "fired": 0,
            "skipped": Counter(),
            "missed": Counter(),
            "requested": 0,
            "outcomes": Counter(),
            "attempts_failed": 0,
            "lateness": [],
            "queue_wait": [],
            "duration": [],
        }
    )
    for slot in log.slots:
        if not covers(slot.slot, slot.day):
            continue
        row = found[group(slot)]
        if slot.what == "fired":
            row["fired"] += 1
        else:
            row[slot.what][slot.reason] += 1
    for run in log.runs.values():
        if not covers(run.instant, run.day):
            continue
        row = found[group(run)]
        row["attempts_failed"] += run.attempts_failed
        if run.lateness is None:
            row["requested"] += 1
        else:
            row["lateness"].append(run.lateness)
        if run.enqueued_at and run.started_at:
            wait = (run.started_at - run.enqueued_at).total_seconds()
            row["queue_wait"].append(max(wait, 0.0))
        if run.outcome:
            row["outcomes"][run.outcome.type.value.removeprefix("run_")] += 1
            if "duration_seconds" in run.outcome.data:
                row["duration"].append(run.outcome.data["duration_seconds"])
    return dict(found)


def streaks(results: Iterable[Run]) -> dict[UUID, int]:
    """How many failures in a row each failed run made, in the order given."""
    failures: Counter[str] = Counter()
    found = {}
    for run in results:
        if run.outcome.type in (EventType.RUN_FAILED, EventType.RUN_LOST):
            failures[run.cron] += 1
            found[run.run_id] = failures[run.cron]
        elif run.outcome.type is EventType.RUN_SUCCEEDED:
            failures[run.cron] = 0
    return found
