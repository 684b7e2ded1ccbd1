"""What was at work in one hour, across crons, and what will be due in one that is to come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.schedule.slot_count import count_slots
from rqcron_events.ledger import store

from ...models import CronRun
from ..drawing.bars import Bars, bars
from ..drawing.marks import Fate
from ..slots.entries import fate_of_run
from .amounts import Due

__all__ = ["HOUR", "WIDTH", "Lane", "Ran", "ToCome", "at_work", "due_in", "lanes", "runs_in"]

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
BEFORE = timedelta(hours=6)
"""A run that was asked for earlier is looked for only while it is at work."""
AT_WORK = (RunStatus.RUNNING.value, RunStatus.RETRYING.value)
RUNS_MAX = 300
LISTED_MAX = 300
WIDTH = 600
"""Of the picture of an hour."""
BAR_HEIGHT, GAP = 12, 3
BAR_WIDTH_MIN = 2.0
MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run, and where its bar is."""

    run_id: UUID
    slot: datetime | None
    trigger: str
    status: str
    fate: Fate
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    x: float = 0
    width: float = 0
    """0: it has no bar, because it had not started."""
    wait_x: float = 0
    wait_width: float = 0
    """From when it was asked for to its start."""
    y: int = 0
    overlaps: bool = False
    """Another run of its cron was at work at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The runs of one cron."""

    cron: str
    runs: tuple[Ran, ...]
    height: int

    @property
    def overlaps(self) -> bool:
        return any(run.overlaps for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCome:
    """A cron that will be due."""

    cron: str
    slots: int
    first: datetime
    seconds: float
    """That its runs will keep workers busy, if they take what they took."""


def runs_in(begin: datetime, end: datetime) -> tuple[list[CronRun], bool]:
    """Those that were asked for, waited or worked in this time, oldest first; and whether there are
    more than are looked at."""
    runs = CronRun.objects.using(store.connection().alias).order_by("requested_at", "run_id")
    earlier = begin - BEFORE
    near = runs.filter(
        Q(finished_at__gte=begin) | Q(finished_at=None),
        requested_at__gte=earlier,
        requested_at__lt=end,
    )
    long = runs.filter(status__in=AT_WORK, requested_at__lt=earlier)
    rows = [*long[: RUNS_MAX + 1], *near[: RUNS_MAX + 1]]
    return rows[:RUNS_MAX], len(rows) > RUNS_MAX


def lanes(
    runs: Iterable[CronRun], begin: datetime, end: datetime, now: datetime, names: dict[str, str]
) -> list[Lane]:
    """By cron, in the order in which they began; runs that overlap are drawn below each other."""
    by_cron: dict[str, list[CronRun]] = {}
    for run in runs:
        by_cron.setdefault(run.cron, []).append(run)
    return [_lane(names.get(cron, cron), own, begin, end, now) for cron, own in by_cron.items()]


def _lane(
    cron: str, runs: Sequence[CronRun], begin: datetime, end: datetime, now: datetime
) -> Lane:
    found: list[Ran] = []
    free_at: list[datetime] = []  # of each row of the lane
    for run in runs:
        place: dict[str, float] = {}
        row, overlaps = 0, False
        if run.started_at is not None and run.started_at < end:
            ended = run.finished_at or now
            row = next(
                (row for row, at in enumerate(free_at) if at <= run.started_at), len(free_at)
            )
            overlaps = any(at > run.started_at for at in free_at)
            free_at[row : row + 1] = [ended]
            left, right = max(run.started_at, begin), min(max(ended, run.started_at), end)
            width = max((right - left) / (end - begin) * WIDTH, BAR_WIDTH_MIN)
            x = min((left - begin) / (end - begin) * WIDTH, WIDTH - width)
            wait_x = max((run.requested_at - begin) / (end - begin) * WIDTH, 0)
            place = {"x": round(x, 1), "width": round(width, 1), "wait_x": round(wait_x, 1)}
            place["wait_width"] = round(max(x - wait_x, 0), 1)
        found.append(
            Ran(
                run_id=run.run_id,
                slot=run.slot,
                trigger=run.trigger,
                status=run.status,
                fate=fate_of_run(run.status, run.lateness_seconds or 0.0),
                started_at=run.started_at,
                finished_at=run.finished_at,
                duration_seconds=run.duration_seconds,
                y=row * (BAR_HEIGHT + GAP),
                overlaps=overlaps,
                **place,
            )
        )
    height = max(len(free_at), 1) * (BAR_HEIGHT + GAP)
    return Lane(cron=cron, runs=tuple(found), height=height)


def at_work(runs: Iterable[CronRun], begin: datetime, now: datetime) -> Bars | None:
    """How many runs were at work in each minute of the hour."""
    counts = [0] * MINUTES
    for run in runs:
        if run.started_at is None:
            continue
        first = max((run.started_at - begin) // timedelta(minutes=1), 0)
        last = min(((run.finished_at or now) - begin) // timedelta(minutes=1), MINUTES - 1)
        for minute in range(first, last + 1):
            counts[minute] += 1
    labels = [f"{begin + timedelta(minutes=minute):%H:%M} UTC" for minute in range(MINUTES)]
    return bars("Runs at work, minute by minute", "running", labels, counts)


def due_in(crons: Iterable[Due], begin: datetime, end: datetime) -> tuple[list[ToCome], bool]:
    """What will be due, most slots first; and whether there is more than is listed."""
    found = []
    counted: dict[int, tuple[int, datetime | None]] = {}
    for cron in crons:
        known = counted.get(id(cron.schedule))
        if known is None:
            slots = count_slots(cron.schedule, begin - SECOND, end - SECOND)
            first = cron.schedule.next_after(begin - SECOND) if slots else None
            known = counted[id(cron.schedule)] = (slots, first)
        slots, first = known
        if slots and first is not None:
            found.append(
                ToCome(
                    cron=cron.present_name, slots=slots, first=first, seconds=slots * cron.seconds
                )
            )
    found.sort(key=lambda item: (-item.seconds, -item.slots, item.cron))
    return found[:LISTED_MAX], len(found) > LISTED_MAX
