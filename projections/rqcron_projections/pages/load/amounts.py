"""How much there was to do in each quarter of an hour, and how much there will be."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import BigIntegerField, Count, FloatField, Func, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from rqcron_events.core.schedule import (
    EPOCH,
    CronSchedule,
    EverySchedule,
    cron_schedule,
    every_schedule,
    is_hashed_expression,
)
from rqcron_events.ledger import store

from ...models import CronDay, CronJob, CronRun, CronStatus
from ...report.from_runs import Microseconds
from .due import QUARTER, due_quarters

__all__ = [
    "Amounts",
    "Due",
    "countable_since",
    "due_crons",
    "measured_seconds",
    "past_amounts",
    "upcoming_amounts",
]

NOT_DUE = (CronStatus.RETIRED, CronStatus.DISABLED, CronStatus.PAUSED)
MEASURED_DAYS = 7
"""A run is expected to take what it took in so many days, on average."""
RUNS_MAX = 50_000
"""So many newest runs of the past are counted."""
_QUARTER_US = QUARTER // timedelta(microseconds=1)


@dataclass(slots=True)
class Amounts:
    """By the number of a quarter of an hour (``due.quarter_of``)."""

    runs: Counter[int] = field(default_factory=Counter)
    """Of the past; slots of the future."""
    seconds: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """That workers were, or will be, busy."""
    crons: Counter[int] = field(default_factory=Counter)
    """Of the future: that have one slot in it. Those with more are due all the time."""


class Due(NamedTuple):
    """A cron that is due again."""

    name: str
    present_name: str
    schedule: CronSchedule | EverySchedule
    seconds: float
    """That a run takes."""


def countable_since(begin: datetime, end: datetime) -> datetime:
    """From when on runs can be counted in time: ``begin``, or later where there are very many."""
    runs = CronRun.objects.using(store.connection().alias)
    newest = runs.filter(requested_at__gte=begin, requested_at__lt=end).order_by("-requested_at")
    last = newest.values_list("requested_at", flat=True)[RUNS_MAX : RUNS_MAX + 1]
    return max((at + QUARTER - (at - EPOCH) % QUARTER for at in last), default=begin)


def past_amounts(begin: datetime, end: datetime) -> Amounts:
    """Runs by when they were asked for: one statement that adds up in the database."""
    quarter = _Quarter("requested_at")
    runs = CronRun.objects.using(store.connection().alias)
    asked_for = runs.filter(requested_at__gte=begin, requested_at__lt=end).order_by()
    rows = asked_for.annotate(quarter=quarter).values_list("quarter").annotate(
        Count("run_id"), Sum("duration_seconds")
    )  # fmt: skip
    found = Amounts()
    for number, count, seconds in rows:
        found.runs[number] = count
        found.seconds[number] = seconds or 0.0
    return found


class _Quarter(Func):
    """The number of the quarter of an hour. On PostgreSQL in floats, which hold it exactly: EXTRACT counts in
    numeric, and takes twice as long."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        seconds = QUARTER // timedelta(seconds=1)
        template = f"floor(date_part('epoch', %(expressions)s) / {seconds})::bigint"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        template = f"(%(expressions)s) / {_QUARTER_US}"
        return compiler.compile(Func(Microseconds(*self.source_expressions), template=template))


def upcoming_amounts(crons: list[Due], begin: datetime, end: datetime) -> Amounts:
    """Slots by when they are due. Crons of one schedule are counted together."""
    alike: dict[CronSchedule | EverySchedule, list[float]] = defaultdict(list)
    for cron in crons:
        alike[cron.schedule].append(cron.seconds)
    found = Amounts()
    for schedule, each in alike.items():
        for number, slots in due_quarters(schedule, begin, end).items():
            found.runs[number] += slots * len(each)
            found.seconds[number] += slots * sum(each)
            found.crons[number] += len(each) if slots == 1 else 0
    return found


def due_crons(now: datetime) -> Iterator[Due]:
    """Those that will fire, as far as is known; one whose definition cannot be read is left out."""
    took = measured_seconds(now)
    jobs = CronJob.objects.using(store.connection().alias).exclude(status__in=NOT_DUE)
    known: dict[tuple[Any, ...], CronSchedule | EverySchedule] = {}
    columns: list[Any] = ["name", "timezone", *(KT(f"definition__{each}") for each in _DEFINITION)]
    for name, zone, expression, *numbers, names in jobs.order_by().values_list(*columns):
        every, offset = (int(number) if number else 0 for number in numbers)
        hashed = name if expression and is_hashed_expression(expression) else ""
        key = (expression, zone, every, offset, hashed)
        try:
            schedule = known.get(key)
            if schedule is None:
                schedule = known[key] = (
                    every_schedule(every, offset)
                    if every
                    else cron_schedule(expression or "", zone, name)
                )
        except (TypeError, ValueError):
            continue
        present_name = json.loads(names)[-1] if names else name
        yield Due(name, present_name, schedule, took.get(name, 0.0))


_DEFINITION = ("expression", "every_seconds", "offset_seconds", "names")


def measured_seconds(now: datetime) -> dict[str, float]:
    """What a run took on average, by the stored name of its cron."""
    days = CronDay.objects.using(store.connection().alias)
    some = days.filter(day__gt=now.date() - timedelta(days=MEASURED_DAYS), duration_count__gt=0)
    # As floats: PostgreSQL adds up bigints as numeric, which takes ten times as long.
    took, runs = (Cast(name, FloatField()) for name in ("duration_sum_us", "duration_count"))
    sums = some.order_by().values_list("cron").annotate(took=Sum(took), runs=Sum(runs))
    return {cron: total_us / count / 1e6 for cron, total_us, count in sums}
