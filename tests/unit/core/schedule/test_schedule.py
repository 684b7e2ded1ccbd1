"""What holds for every kind of schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events.core.schedule import cron_schedule, every_schedule, slots_between

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "schedule", [cron_schedule("* * * * *", "UTC"), every_schedule(60)], ids=["cron", "every"]
)
def test_the_start_of_a_stretch_is_not_in_it_and_its_end_is(schedule):
    minute = timedelta(minutes=1)
    found = list(slots_between(schedule, NOON, NOON + 3 * minute, 100))
    assert found == [NOON + minute, NOON + 2 * minute, NOON + 3 * minute]


def test_enumeration_is_bounded():
    schedule = cron_schedule("* * * * *", "UTC")
    assert len(list(slots_between(schedule, NOON, NOON + DAY * 365, 100))) == 100
    assert list(slots_between(schedule, NOON, NOON, 100)) == []
    assert list(slots_between(schedule, NOON, NOON + DAY, 0)) == []
