"""Slots per day by arithmetic are the slots that one finds by walking."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core.schedule import CronSchedule, cron_schedule, every_schedule, slots_between
from rqcron_events.core.schedule.slot_count import count_slots, newest_slots, slots_by_day
from tests.examples import examples

ZONES = [
    "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo",
    "Pacific/Apia", "America/Havana", "America/St_Johns", "Africa/Casablanca",
]  # fmt: skip
EXPRESSIONS = [
    "* * * * *", "*/7 * * * *", "0 9 * * 1-5", "30 2 * * *", "15,45 0-3 * * *", "0 0 1 * *",
    "5 */5 * * *", "*/20 30 1,2 * * *", "0 0 L * *", "59 23 * * *", "0 0 29 2 *",
]  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(
    start=st.datetimes(datetime(1985, 1, 1), datetime(2030, 1, 1)),
    slots=st.integers(1, 3_000),
    zone=st.sampled_from(ZONES),
    days_in=st.sampled_from(ZONES),
    schedule=st.one_of(st.sampled_from(EXPRESSIONS), st.sampled_from([60, 3600, 5400, 100_000])),
)
def test_each_day_has_as_many_as_a_walk_finds(
    start: datetime, slots: int, zone: str, days_in: str, schedule: str | int
) -> None:
    if isinstance(schedule, str):
        found = cron_schedule(schedule, zone)
        slots = min(slots, 300) if schedule.startswith("0 0") else slots
    else:
        found = every_schedule(schedule)
    instant = start.replace(tzinfo=UTC)
    walked = list(slots_between(found, instant, instant + timedelta(days=9_000), slots))
    expected = Counter(slot.astimezone(ZoneInfo(days_in)).date() for slot in walked)
    assert slots_by_day(found, ZoneInfo(days_in), walked[0], walked[-1]) == expected


@settings(max_examples=examples(150), deadline=None)
@given(
    start=st.datetimes(datetime(1985, 1, 1), datetime(2030, 1, 1)),
    seconds=st.integers(0, 40 * 86_400),
    count=st.integers(1, 200),
    zone=st.sampled_from(ZONES),
    schedule=st.one_of(
        st.sampled_from([*EXPRESSIONS, "*/50 * 0-3 * * *", "0 */13 * * * 1-5", "*/9 * * * MON#2"]),
        st.sampled_from([60, 3600, 5400, 100_000]),
    ),
)
def test_a_range_has_as_many_as_a_walk_finds_and_the_newest_of_them(
    start: datetime, seconds: int, count: int, zone: str, schedule: str | int
) -> None:
    found = cron_schedule(schedule, zone) if isinstance(schedule, str) else every_schedule(schedule)
    after = start.replace(tzinfo=UTC)
    until = after + timedelta(seconds=seconds, microseconds=seconds)
    walked = list(slots_between(found, after, until, 1_000_000))
    assert count_slots(found, after, until) == len(walked)
    assert newest_slots(found, after, until, count) == walked[-count:]


@pytest.mark.parametrize("zone", ZONES)
def test_seconds_are_counted_across_every_change_of_the_clocks(zone: str) -> None:
    """Real time goes on in a repeated hour; a skipped one has no slots of its own."""
    schedule = cron_schedule("7 * * * * *", zone)
    first, last = datetime(2010, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    assert count_slots(schedule, first, last) == (last - first) // timedelta(minutes=1)


def test_a_month_of_minutes_costs_a_step_per_day(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    search = CronSchedule.search_after

    def counted(self: CronSchedule, instant: datetime) -> datetime | None:
        nonlocal steps
        steps += 1
        return search(self, instant)

    monkeypatch.setattr(CronSchedule, "search_after", counted)
    first = datetime(2026, 5, 1, tzinfo=UTC)
    last = first + timedelta(days=30) - timedelta(minutes=1)
    schedule = cron_schedule("* * * * *", "Europe/Berlin")
    assert sum(slots_by_day(schedule, ZoneInfo("Europe/Berlin"), first, last).values()) == 43_200
    assert steps <= 33
