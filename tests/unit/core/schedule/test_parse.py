"""Expressions that are refused, each with its value and the remedy, and what ``H`` is hashed to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rqcron_events.core.schedule import cron_schedule

WRONG = {
    "61 * * * *": "minute must be 0-59, got 61",
    "* 24 * * *": "hour must be 0-23, got 24",
    "0 0 0 * *": "day of month must be 1-31, got 0",
    "0 0 32 * *": "day of month must be 1-31, got 32",
    "0 0 * 13 *": "month must be 1-12, got 13",
    "0 0 * * 8": "day of week must be 0-7, got 8",
    "0 0 1 1 * 2027": "day of week must be 0-7, got 2027; six fields begin with seconds, and no field is a year",
    "0 9 1 1 * 2027-2030": "six fields begin with seconds, and no field is a year",
    "0 9 1 1 * 1999/2": "six fields begin with seconds, and no field is a year",
    "60 * * * * *": "second must be 0-59, got 60",
    "0 0 24 * * *": "hour must be 0-23, got 24",
    "10-70/5 * * * *": "minute must be 0-59, got 70",
    "0 0 * FOO *": "month 'FOO' is not understood; give 1-12 or names such as JAN",
    "0 0 * * MO": "day of week 'MO' is not understood; give 0-7 or names such as MON",
    "a * * * *": "minute 'a' is not understood; give 0-59",
    "*/0 * * * *": "minute '*/0' is not understood; a step must be 1 or more",
    "-1 * * * *": "minute '-1' is not understood; give 0-59",
    "1,,2 * * * *": "minute '1,,2' is not understood; give 0-59",
    "0 0 * * 5#L": "day of week '5#L' is not understood",
    "* * * *": "it has 4 fields; give five (minute hour day month weekday) or six",
    "* * * * * * *": "it has 7 fields; give five",
    "": "it has 0 fields; give five",
    "@fortnightly": "unknown alias; use one of @annually, @daily",
    "@reboot": "unknown alias; use one of",
    "R * * * *": "use H, which is hashed from the cron's name",
    "0 0 30 2 *": "no date matches it in 50 years; check the day of month against the month",
    "0 0 1 * 1#3 *": "",
}


@pytest.mark.parametrize("expression", WRONG)
def test_a_bad_expression_is_refused_with_its_value_and_the_remedy(expression):
    with pytest.raises(ValueError, match="invalid") as caught:
        cron_schedule(expression, "UTC")
    assert f"schedule {expression!r} is invalid: " in str(caught.value)
    assert WRONG[expression] in str(caught.value)


def test_h_is_the_same_for_one_name_and_spreads_over_names():
    start = datetime(2026, 3, 2, tzinfo=UTC)
    first = cron_schedule("H H * * *", "UTC", "alpha").next_after(start)
    assert first == cron_schedule("H H * * *", "UTC", "alpha").next_after(start)
    times = {
        cron_schedule("H H * * *", "UTC", f"cron {number}").next_after(start)
        for number in range(50)
    }
    assert len(times) > 40


def test_h_stays_in_its_range_and_keeps_its_step():
    for number in range(50):
        quarter = cron_schedule("H/15 * * * *", "UTC", f"cron {number}")
        assert len(quarter.minutes) == 4
        assert {b - a for a, b in zip(quarter.minutes, quarter.minutes[1:], strict=False)} == {15}
        assert set(cron_schedule("H(10-20) * * * *", "UTC", str(number)).minutes) <= set(
            range(10, 21)
        )


def test_h_in_the_minute_is_a_time_of_day():
    assert cron_schedule("H 2 * * *", "America/New_York", "alpha").times_of_day
    assert not cron_schedule("H * * * *", "America/New_York", "alpha").times_of_day
