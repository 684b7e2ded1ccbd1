"""Counting slots by arithmetic gives what walking over them gives."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from rqcron_projections.pages.load.due import QUARTER, due_quarters, quarter_of

from rqcron_events.core.schedule import cron_schedule, every_schedule, slots_between

DAY = timedelta(days=1)
BEGINNINGS = [
    datetime(2026, 3, 26, 5, 15, tzinfo=UTC),  # Berlin's clocks go forward on the 29th
    datetime(2026, 10, 22, tzinfo=UTC),  # and back on the 25th
    datetime(2026, 6, 1, 23, 45, tzinfo=UTC),
]
SCHEDULES = [
    ("0 3 * * *", "UTC"),
    ("30 2 * * *", "Europe/Berlin"),
    ("*/20 * * * *", "Europe/Berlin"),
    ("5,50 1-3 * * 0", "Europe/Berlin"),
    ("0 0 1,30 * 1", "Asia/Kathmandu"),
    ("59 23 L * *", "America/New_York"),
    ("15 10 * * MON#1", "Australia/Lord_Howe"),
    ("0 */5 * * * *", "UTC"),
]


def walked(schedule, begin, end):
    return Counter(
        quarter_of(slot)
        for slot in slots_between(schedule, begin - timedelta(seconds=1), end, 100_000)
        if slot < end
    )


@pytest.mark.parametrize("begin", BEGINNINGS)
@pytest.mark.parametrize(("expression", "zone"), SCHEDULES)
def test_cron_expressions(expression, zone, begin):
    schedule, end = cron_schedule(expression, zone), begin + 5 * DAY
    assert due_quarters(schedule, begin, end) == walked(schedule, begin, end)


@pytest.mark.parametrize(
    ("seconds", "offset"), [(60, 0), (90, 30), (900, 0), (5_000, 7), (700_000, 1)]
)
def test_periods(seconds, offset):
    schedule, begin = every_schedule(seconds, offset), BEGINNINGS[0]
    end = begin + 5 * DAY
    assert due_quarters(schedule, begin, end) == walked(schedule, begin, end)


def test_a_cron_of_each_second_is_counted_without_looking_at_each_slot():
    schedule, begin = every_schedule(1, 0), BEGINNINGS[0]
    found = due_quarters(schedule, begin, begin + 7 * DAY)
    assert set(found.values()) == {900}
    assert len(found) == 7 * DAY // QUARTER
