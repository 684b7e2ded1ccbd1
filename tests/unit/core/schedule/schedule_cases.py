"""Seeded random schedules, and two oracles that are not our code."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
SLOTS_COMPARED = 6
WALK_MAX = timedelta(hours=36)

ZONES = (
    "UTC",
    "Africa/Casablanca",  # no fixed rule: Ramadan
    "Africa/Monrovia",  # 44 minutes and 30 seconds behind until 1972
    "America/Caracas",  # half an hour in 2007 and 2016
    "America/New_York",
    "America/Sao_Paulo",  # changed at midnight
    "America/St_Johns",  # changed at one minute past midnight
    "Antarctica/Troll",  # two hours
    "Asia/Kathmandu",  # a quarter of an hour in 1986
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Australia/Lord_Howe",  # half an hour, twice a year
    "Europe/Berlin",
    "Europe/Dublin",  # winter time is the exception
    "Europe/London",
    "Pacific/Apia",  # 2011-12-30 did not exist
    "Pacific/Chatham",  # 12:45 ahead
)


@dataclass(frozen=True)
class Case:
    expression: str
    zone: str
    instant: datetime

    @property
    def follows_real_time(self) -> bool:
        fields = self.expression.split()
        return len(fields) == 6 or fields[0].startswith("*") or fields[1].startswith("*")


def cases(seed: int, count: int) -> Iterator[Case]:
    """Most are near a clock change, with times of day that it touches."""
    source = random.Random(seed)
    made = 0
    while made < count:
        case = _case(source)
        try:
            next(CronSim(for_cronsim(case.expression), datetime(1970, 1, 1)))
        except (CronSimError, StopIteration):  # 31 February, or the 1st as a third Wednesday
            continue
        made += 1
        yield case


def _case(source: random.Random) -> Case:
    zone = source.choice(ZONES)
    changes = clock_changes(zone)
    if changes and source.random() < 0.7:
        instant = source.choice(changes) + timedelta(seconds=source.randint(-2 * 86_400, 86_400))
        hours = _field(source, 0, 4 if source.random() < 0.8 else 23)
        fields = [_field(source, 0, 59), hours, "*", "*", "*"]
        if source.random() < 0.5:
            fields[3] = _field(source, 1, 12)
        if source.random() < 0.5:
            fields[4] = _weekday(source)
    else:
        instant = FIRST + timedelta(seconds=source.randint(0, int((LAST - FIRST).total_seconds())))
        days = "L" if source.random() < 0.05 else _field(source, 1, 31)
        fields = [_field(source, 0, 59), _field(source, 0, 23), days, _field(source, 1, 12)]
        fields.append(_weekday(source))
    if source.random() < 0.1:
        fields.insert(0, _field(source, 0, 59))
    return Case(" ".join(fields), zone, instant)


def _field(source: random.Random, low: int, high: int) -> str:
    match source.choices(["*", "step", "one", "range", "list"], (35, 15, 20, 15, 15))[0]:
        case "*":
            return "*"
        case "step":
            return f"*/{source.randint(1, high)}"
        case "one":
            return str(source.randint(low, high))
        case "range":
            first = source.randint(low, high)
            step = f"/{source.randint(1, 10)}" if source.random() < 0.4 else ""
            return f"{first}-{source.randint(first, high)}{step}"
        case _:
            return ",".join(str(source.randint(low, high)) for _ in range(source.randint(2, 4)))


def _weekday(source: random.Random) -> str:
    match source.choices(["field", "name", "nth"], (80, 10, 10))[0]:
        case "field":
            return _field(source, 0, 7)
        case "name":
            return source.choice(("MON", "tue", "MON-FRI", "SAT,SUN", "Wed-Fri/2"))
        case _:
            return f"{source.randint(0, 6)}#{source.randint(1, 5)}"


@cache
def clock_changes(zone: str) -> tuple[datetime, ...]:
    """Days on which the zone's offset changes."""
    found, info = [], ZoneInfo(zone)
    instant, before = FIRST, FIRST.astimezone(info).utcoffset()
    while instant < LAST:
        instant += DAY
        after = instant.astimezone(info).utcoffset()
        if after != before:
            found.append(instant)
        before = after
    return tuple(found)


def for_cronsim(expression: str) -> str:
    """CronSim takes 5-5/20 for 5/20, which crontab(5) and we do not: it is 5 alone."""
    return re.sub(r"\b(\d+)-\1/\d+", r"\1", expression)


def has_plain_clock(zone: str, start: datetime, end: datetime) -> bool:
    """All offsets from UTC in the stretch are whole hours, and every day has a midnight."""
    info = ZoneInfo(zone)
    instant = start - DAY
    while instant < end + DAY:
        local = instant.astimezone(info)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if (local.utcoffset() or DAY) % HOUR:
            return False
        if midnight.astimezone(UTC).astimezone(info).hour != 0:
            return False
        instant += DAY
    return True


def by_cronsim(case: Case) -> list[datetime]:
    """Its answers after the instant; in a fold it can begin with earlier ones."""
    answers = (
        found.astimezone(UTC)
        for found in CronSim(
            for_cronsim(case.expression), case.instant.astimezone(ZoneInfo(case.zone))
        )
    )
    return list(islice((found for found in answers if found > case.instant), SLOTS_COMPARED))


def near_a_slot(case: Case) -> Case:
    """Moved to at most six hours before a matching wall time, so that a walk finds something."""
    naive = case.instant.astimezone(ZoneInfo(case.zone)).replace(tzinfo=None)
    try:
        wall = next(CronSim(for_cronsim(case.expression), naive))
    except StopIteration:
        return case
    slot = wall.replace(tzinfo=ZoneInfo(case.zone)).astimezone(UTC)
    before = timedelta(seconds=random.Random(case.expression).randint(0, 6 * 3600))
    return Case(case.expression, case.zone, slot - before)


def by_walking(case: Case) -> list[datetime]:
    """The first matches, going over every minute of real time for at most WALK_MAX."""
    *second, minute, hour, day, month, weekday = for_cronsim(case.expression).split()
    pattern = CronSim(
        " ".join([*(second or ["0"]), minute, hour, day, month, weekday]), datetime(2026, 1, 1)
    )
    zone = ZoneInfo(case.zone)
    instant = case.instant.replace(second=0, microsecond=0)
    end = instant + WALK_MAX
    found: list[datetime] = []
    while instant < end and len(found) < SLOTS_COMPARED:
        # Offsets were not always whole minutes: two minutes on the wall can meet in this one.
        edges = (instant, instant + MINUTE - SECOND)
        if any(matches(pattern, edge.astimezone(zone)) for edge in edges):
            moments = (instant + SECOND * number for number in range(60))
            found += [
                moment
                for moment in moments
                if moment > case.instant
                and moment.astimezone(zone).second in pattern.seconds
                and matches(pattern, moment.astimezone(zone))
            ]
        instant += MINUTE
    return found[:SLOTS_COMPARED]


def matches(pattern: CronSim, wall: datetime) -> bool:
    """CronSim's own word on one minute on the wall."""
    return (
        wall.minute in pattern.minutes
        and wall.hour in pattern.hours
        and wall.month in pattern.months
        and pattern.match_day(wall.date())
    )
