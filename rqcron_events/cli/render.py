"""Showing explanations and events to people and to pipes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import OutputWrapper

from ..conf import conf
from ..core.events import Event
from ..core.explain.event_words import event_words
from ..core.explain.explanation import Explanation
from ..core.explain.run import Step
from ..core.wording import duration
from ..ledger.follow import follow as follow_log
from ..ledger.follow import head
from ..models import CronEvent, CronEventQuerySet
from .tables import csv_line, print_rows
from .terminal import json_text

__all__ = ["Filter", "follow", "show_events", "tell"]

COLUMNS = (
    "id",
    "occurred_at",
    "type",
    "cron",
    "run_id",
    "attempt",
    "scheduled_for",
    "reason",
    "actor",
)
TRACEBACK_LINES = 6
"""Its end, which names the place; ``cron_events --run`` has all of it as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events to show."""

    cron: str = ""
    types: frozenset[str] = frozenset()
    run_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def rows(self) -> CronEventQuerySet:
        rows = CronEvent.objects.using(conf().database).between(self.since, self.until)
        if self.cron:
            rows = rows.for_cron(self.cron)
        if self.types:
            rows = rows.of_type(*self.types)
        if self.run_id is not None:
            rows = rows.for_run(self.run_id)
        return rows

    def newest(self, limit: int) -> list[Event]:
        """The ``limit`` events (0: all) that match and occurred last, the newest first.

        By time and not by id, so that the indexes of cron and type lead to the end of any period.
        """
        rows = self.rows().order_by("-occurred_at", "-id")
        return [row.to_event() for row in rows[: limit or None]]

    def matches(self, event: Event) -> bool:
        return (
            (not self.cron or event.cron == self.cron)
            and (not self.types or event.type.value in self.types)
            and (self.run_id is None or event.run_id == self.run_id)
            and (self.since is None or event.occurred_at >= self.since)
            and (self.until is None or event.occurred_at < self.until)
        )


def show_events(wanted: Filter, limit: int, output_format: str, stdout: OutputWrapper) -> None:
    """Print the newest ``limit`` events (0: all), oldest first."""
    rows = wanted.rows()
    if limit:
        _print_all(wanted.newest(limit)[::-1], output_format, stdout)
    elif output_format == "table" and rows.exists():  # lines can be written as they are read
        stdout.writelines(_line(event) + "\n" for event in rows.order_by("id").events())
    else:
        _print_all(list(rows.order_by("id").events()), output_format, stdout)


def follow(wanted: Filter, limit: int, output_format: str, stdout: OutputWrapper) -> None:
    """Print the newest events, then each new one as it is committed, until interrupted."""
    position = head()
    shown = wanted.newest(limit)[::-1]
    try:
        for event in _unseen(shown, position, wanted):
            _print_one(event, output_format, stdout)
            stdout.flush()
    except KeyboardInterrupt:
        return


def _unseen(shown: list[Event], position: int, wanted: Filter) -> Iterator[Event]:
    yield from (event for event in shown if (event.id or 0) <= position)
    yield from (event for event in follow_log(position) if wanted.matches(event))


def tell(answer: Explanation, stdout: OutputWrapper) -> None:
    """An explanation for a person."""
    stdout.write(f"{answer.verdict.value.upper().replace('_', ' ')}: {answer.summary}\n")
    stdout.writelines(f"  {label:<12}{value}\n" for label, value in _details(answer))
    if answer.steps:
        stdout.write("  chain\n")
    stdout.writelines(f"    {_step_line(step)}\n" for step in answer.steps)
    if answer.run and answer.run.error and answer.run.error.get("traceback"):
        last_lines = answer.run.error["traceback"].rstrip().split("\n")[-TRACEBACK_LINES:]
        stdout.writelines(f"  | {line}\n" for line in last_lines)
    if answer.events:
        stdout.write("  evidence\n")
    stdout.writelines(f"    {_line(event)}\n" for event in answer.events)


def _details(answer: Explanation) -> Iterator[tuple[str, str]]:
    if answer.run:
        run = answer.run
        yield "run", f"{run.id}  ({run.status}, queue {run.queue or '?'}, attempts {run.attempts})"
    if answer.definition:
        definition = answer.definition
        policies = f"overlap {definition.overlap}, catch-up {definition.catch_up}"
        yield "schedule", f"{definition.schedule_text}  ({definition.timezone}; {policies})"
    if answer.effective_from:
        version = answer.definition_version
        yield "definition", f"version {version}, in force since {_utc(answer.effective_from)}"
    if answer.clock_change:
        yield "clocks", answer.clock_change
    if answer.downtime:
        downtime = answer.downtime
        since, until = _utc(downtime.since), _utc(downtime.until) if downtime.until else "now"
        cause = downtime.cause.value.replace("_", " ")
        yield (
            "downtime",
            f"{since} to {until}  ({cause}{' ' * bool(downtime.runner)}{downtime.runner})",
        )
    if answer.previous_slot or answer.next_slot:
        yield "slots", f"{_utc(answer.previous_slot)} before, {_utc(answer.next_slot)} after"


def _step_line(step: Step) -> str:
    since = "" if step.seconds is None else _signed(step.seconds)
    name = step.name.replace("_", " ")
    return f"{_utc(step.at, millis=True)}  {since:>12}  {name:<15} {step.detail}".rstrip()


def _signed(seconds: float) -> str:
    """Clocks of two machines may differ by more than the step took."""
    return f"{'-' if seconds < 0 else '+'}{duration(abs(seconds))}"


def _line(event: Event) -> str:
    run = str(event.run_id)[:8] if event.run_id else "-"
    slot = f"{event.scheduled_for.astimezone(UTC):%H:%M:%S}" if event.scheduled_for else "-"
    what = event.cron or event.stream
    return (
        f"{_utc(event.occurred_at, millis=True)}  {event.type.value:<16} {what:<24} "
        f"slot {slot:<9} run {run:<9} {event_words(event)}  [{event.actor}]"
    )


def _row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "occurred_at": event.occurred_at.astimezone(UTC).isoformat(),
        "recorded_at": event.recorded_at.astimezone(UTC).isoformat() if event.recorded_at else None,
        "stream": event.stream,
        "version": event.version,
        "type": event.type.value,
        "cron": event.cron,
        "run_id": str(event.run_id) if event.run_id else None,
        "attempt": event.attempt,
        "scheduled_for": event.scheduled_for.astimezone(UTC).isoformat()
        if event.scheduled_for
        else None,
        "reason": event.reason,
        "actor": event.actor,
        "data": dict(event.data),
    }


def _print_all(events: list[Event], output_format: str, stdout: OutputWrapper) -> None:
    if output_format == "table":
        if not events:
            stdout.write("No event matches.\n")
        stdout.writelines(_line(event) + "\n" for event in events)
    else:
        print_rows(stdout, [_row(event) for event in events], COLUMNS, output_format)


def _print_one(event: Event, output_format: str, stdout: OutputWrapper) -> None:
    if output_format == "json":  # one object per line, for jq
        stdout.write(json_text(_row(event), indent=None))
    elif output_format == "csv":
        row = _row(event)
        stdout.write(csv_line([row[name] for name in COLUMNS]))
    else:
        stdout.write(_line(event) + "\n")


def _utc(instant: datetime | None, *, millis: bool = False) -> str:
    if instant is None:
        return "none"
    text = instant.astimezone(UTC)
    return f"{text:%Y-%m-%d %H:%M:%S}" + (f".{text.microsecond // 1000:03d}Z" if millis else "Z")
