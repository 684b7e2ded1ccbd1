"""Showing explanations and events to people and to pipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from django.core.management.base import OutputWrapper
from rich.cells import cell_len

from .. import clock
from ..conf import conf
from ..core.events import Event
from ..core.events.keys import RESULT
from ..core.explain.event_words import event_words
from ..core.explain.explanation import Explanation
from ..core.explain.run import Step
from ..core.schedule import local_time, zone_or_utc
from ..core.wording import duration, schedule_words, shown_time
from ..ledger.follow import follow as follow_log
from ..ledger.follow import head
from ..models import CronEvent, CronEventQuerySet, put_back
from .tables import Column, Layout, csv_line, laid_out, print_rows
from .terminal import Terminal, Whole, json_text, page_of
from .times import zone_of

__all__ = ["Filter", "follow", "show_events", "tell"]

CSV_FIELDS = (
    "id",
    "occurred_at",
    "recorded_at",
    "stream",
    "version",
    "type",
    "cron",
    "run_id",
    "attempt",
    "scheduled_for",
    "reason",
    "actor",
    "what",
)
"""``what`` is the event in a few words; what else is in its ``data`` stands in the JSON."""
WHAT_CELLS = 70
MILLIS_CELLS_MIN = 110
"""A narrower terminal has times in seconds."""
TIME_CELLS_MAX = 40
STEP_COLUMNS = ("at", "since", "step", "detail")
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
        return put_back(rows.db, [row.fact() for row in rows[: limit or None]])

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
    if output_format == "json":
        found = wanted.newest(limit)[::-1] if limit else list(rows.order_by("id").events())
        print_rows(stdout, [_row(event) for event in found], (), "json")
        return
    events = iter(wanted.newest(limit)[::-1]) if limit else rows.order_by("id").events()
    show = _Shown(stdout, output_format, wanted.cron)
    for event in events:  # lines can be written as they are read
        show.one(event)
    if output_format == "table" and not show.count:
        stdout.write("No event matches.\n")


def follow(wanted: Filter, limit: int, output_format: str, stdout: OutputWrapper) -> None:
    """Print the newest events, then each new one as it is committed, until interrupted."""
    position = head()
    shown = wanted.newest(limit)[::-1]
    show = _Shown(stdout, output_format, wanted.cron)
    try:
        for event in _unseen(shown, position, wanted):
            show.one(event)
            stdout.flush()
    except KeyboardInterrupt:
        return


def _unseen(shown: list[Event], position: int, wanted: Filter) -> Iterator[Event]:
    yield from (event for event in shown if (event.id or 0) <= position)
    yield from (event for event in follow_log(position) if wanted.matches(event))


def tell(answer: Explanation, stdout: OutputWrapper) -> None:
    """An explanation for a person, with times in the cron's zone."""
    known = answer.definition
    zone = zone_or_utc(known.timezone) if known else zone_of(answer.cron)
    stdout.write(f"{answer.verdict.value.upper().replace('_', ' ')}: {answer.summary}\n")
    stdout.writelines(f"  {label:<12}{value}\n" for label, value in _details(answer, zone))
    if answer.steps:
        stdout.write("  chain\n")
        _write_steps(answer.steps, zone, stdout)
    if answer.run and answer.run.error and answer.run.error.get("traceback"):
        last_lines = answer.run.error["traceback"].rstrip().split("\n")[-TRACEBACK_LINES:]
        stdout.writelines(f"  | {line}\n" for line in last_lines)
    if answer.events:
        stdout.write("  evidence\n")
        lines = _Lines(stdout, zone, answer.cron, indent="    ")
        stdout.writelines(lines.line(event) for event in answer.events)


def _details(answer: Explanation, zone: tzinfo) -> Iterator[tuple[str, str]]:
    def at(instant: datetime | None, otherwise: str) -> str:
        return shown_time(instant, zone) if instant else otherwise

    if answer.run:
        run = answer.run
        queue = f"queue {run.queue}, " if run.queue else ""  # it may never have been enqueued
        yield "run", f"{run.id}  ({run.status}, {queue}attempts {run.attempts})"
        for event in answer.events:
            if event.run_id == run.id and event.data.get(RESULT) is not None:
                yield "result", str(event.data[RESULT])
    if answer.definition:
        definition = answer.definition
        policies = f"overlap {definition.overlap}, catch-up {definition.catch_up}"
        yield "schedule", f"{schedule_words(definition)}  ({definition.timezone}; {policies})"
    if answer.effective_from:
        since = at(answer.effective_from, "")
        yield "definition", f"version {answer.definition_version}, in force since {since}"
    if answer.clock_change:
        yield "clocks", answer.clock_change
    if answer.downtime:
        downtime = answer.downtime
        since, until = at(downtime.since, "the beginning"), at(downtime.until, "now")
        cause = downtime.cause.value.replace("_", " ")
        runner = f" {downtime.runner}" if downtime.runner else ""
        yield "downtime", f"{since} to {until}  ({cause}{runner})"
    if answer.previous_slot or answer.next_slot:
        before, after = at(answer.previous_slot, "none"), at(answer.next_slot, "none")
        yield "slots", f"{before} before, {after} after"


def _write_steps(steps: Sequence[Step], zone: tzinfo, stdout: OutputWrapper) -> None:
    page = page_of(stdout)
    rows = []
    for step in steps:
        since = "" if step.seconds is None else _signed(step.seconds)
        cells = [_time(step.at, zone, page), since, step.name.replace("_", " "), step.detail]
        rows.append([page.seen(cell) for cell in cells])
    columns = [Column(key=key, head="", right=key == "since", cells_min=15) for key in STEP_COLUMNS]
    columns[0] = replace(columns[0], cells_min=TIME_CELLS_MAX)
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    layout = laid_out(columns, widths, page.table_cells - 4, page.seen("\u2026"))
    stdout.writelines(Whole(f"    {layout.line(cells)}\n") for cells in rows)


def _signed(seconds: float) -> str:
    """Clocks of two machines may differ by more than the step took."""
    return f"{'-' if seconds < 0 else '+'}{duration(abs(seconds))}"


class _Lines:
    """Events as lines that fit: what matters first, and all lines alike, as they come one by one."""

    def __init__(self, stdout: OutputWrapper, zone: tzinfo, cron: str, indent: str = "") -> None:
        """``cron`` is the only one that is shown, and so not named again."""
        self.page, self.zone, self.indent = page_of(stdout), zone, indent
        self.named = not cron
        zone_name = shown_time(clock.now(), zone).rsplit(" ", 1)[-1]
        times = len("2026-03-02 09:00:00 ") + 4 * self._has_millis + max(len(zone_name), 4)
        asked = [
            (Column(key="at", head="", cells_min=times), times),
            (Column(key="cron", head="", cells_min=14, middle=True), 24),
            (Column(key="what", head="", cells_min=36 if self.named else 44), WHAT_CELLS),
            (Column(key="run", head=""), 12),
            (Column(key="actor", head=""), 40),
            (Column(key="slot", head="", cells_min=19), 19),
            (Column(key="type", head="", cells_min=18), 18),
        ]
        if not self.named:
            del asked[1]
        self.layout: Layout = laid_out(
            [column for column, _ in asked],
            [width for _, width in asked],
            self.page.table_cells - len(indent),
            self.page.seen("\u2026"),
        )

    @property
    def _has_millis(self) -> bool:
        return self.page.table_cells >= MILLIS_CELLS_MIN

    def line(self, event: Event) -> Whole:
        cells = [
            shown_time(event.occurred_at, self.zone, millis=self._has_millis),
            event_words(event, self.zone),
            f"run {str(event.run_id)[:8] if event.run_id else '-'}",
            f"[{event.actor}]",
            f"slot {self._slot(event)}",
            event.type.value,
        ]
        if self.named:
            cells.insert(1, event.cron or event.stream)
        return Whole(f"{self.indent}{self.layout.line([self.page.seen(c) for c in cells])}\n")

    def _slot(self, event: Event) -> str:
        if event.scheduled_for is None:
            return "-"
        slot = local_time(event.scheduled_for, self.zone)
        same_day = slot.date() == local_time(event.occurred_at, self.zone).date()
        return f"{slot:%H:%M:%S}" if same_day else f"{slot:%m-%d %H:%M:%S}"


class _Shown:
    """Events, one by one, in the format that is asked for."""

    def __init__(self, stdout: OutputWrapper, output_format: str, cron: str) -> None:
        self.stdout, self.format, self.count = stdout, output_format, 0
        self.lines = _Lines(stdout, zone_of(cron), cron)
        if output_format == "csv":
            stdout.write(csv_line(CSV_FIELDS))

    def one(self, event: Event) -> None:
        self.count += 1
        if self.format == "json":  # one object per line, for jq
            self.stdout.write(json_text(_row(event), indent=None))
        elif self.format == "csv":
            row = _row(event) | {"what": event_words(event)}
            self.stdout.write(csv_line([row[name] for name in CSV_FIELDS]))
        else:
            self.stdout.write(self.lines.line(event))


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


def _time(instant: datetime, zone: tzinfo, page: Terminal) -> str:
    return shown_time(instant, zone, millis=page.table_cells >= MILLIS_CELLS_MIN)
