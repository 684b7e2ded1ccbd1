"""An instant is a slot just when no field of the schedule mismatches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core.definition import Definition
from rqcron_events.core.explain.mismatch import mismatches
from tests.examples import examples
from tests.unit.history import at, definition

# Real time, in zones without a change of clocks: what the wall shows is all that counts.
SCHEDULES = st.sampled_from(
    [
        definition("*/10 * * * *"),
        definition("0 9 * * 1-5"),
        definition("0 9 1,15 * 1", timezone="Asia/Kathmandu"),
        definition("0 0 */2 3 1"),
        definition("0 0 L * *"),
        definition("0 0 * * FRI#2"),
        definition("H H * * *"),
        definition("*/20 30 1,2 * * *"),
        definition("@weekly", timezone="Asia/Kolkata"),
        definition("", every_seconds=5_400, offset_seconds=60),
    ]
)


@settings(max_examples=examples(200), deadline=None)
@given(SCHEDULES, st.integers(0, 400 * 86_400), st.booleans())
def test_a_slot_has_no_mismatch_and_every_other_instant_has_one(cron, seconds, on_a_slot):
    instant = at("00:00") + timedelta(seconds=seconds)
    if on_a_slot:
        instant = cron.schedule.next_after(instant)
    is_slot = cron.schedule.prev_until(instant) == instant
    assert (mismatches(cron, instant) == []) is is_slot


def test_a_field_is_read_in_the_zone_of_the_cron():
    nine = definition("0 9 * * *", timezone="Asia/Kathmandu")
    (found,) = mismatches(nine, datetime(2026, 3, 2, 4, 15, tzinfo=UTC))
    assert (found.field, found.value, found.expected) == ("hour", "10", "9")


def test_a_fraction_of_a_second_is_no_slot():
    assert mismatches(definition("* * * * *"), at("09:00")) == []
    (found,) = mismatches(definition("* * * * *"), at("09:00:00.250"))
    assert (found.field, found.value) == ("second", "0.25")


def cron(expression: str) -> Definition:
    return Definition(name="alpha", function="m:f", expression=expression)


@pytest.mark.parametrize(
    ("expression", "instant", "fields"),
    [
        ("0 9 * * 1-5", "2026-03-06T09:00:00Z", []),
        ("0 9 * * 1-5", "2026-03-07T09:00:00Z", ["day of week Sat is not in '1-5'"]),
        ("0 9 * * *", "2026-03-07T10:30:00Z", ["hour 10 is not in '9'", "minute 30 is not in '0'"]),
        ("0 9 1 3 *", "2026-04-01T09:00:00Z", ["month Apr is not in '3'"]),
        # Either day field is enough, so both have failed.
        (
            "0 9 1,15 * 1",
            "2026-03-07T09:00:00Z",
            ["day of month 7 is not in '1,15'", "day of week Sat is not in '1'"],
        ),
        ("* * * * *", "2026-03-07T09:00:12.500Z", ["second 12.5 is not in '0'"]),
        ("30 0 9 * * *", "2026-03-07T09:00:00Z", ["second 0 is not in '30'"]),
        ("@daily", "2026-03-07T09:00:00Z", ["hour 9 is not in '@daily'"]),
    ],
)
def test_an_instant_that_is_no_slot_is_told_by_its_fields(expression, instant, fields):
    found = mismatches(cron(expression), datetime.fromisoformat(instant))
    assert [str(mismatch) for mismatch in found] == fields


def test_an_instant_between_two_periods_is_told_by_its_distance():
    (found,) = mismatches(
        Definition(name="alpha", function="m:f", every_seconds=900), at("09:01:30")
    )
    assert str(found) == "it is 90 s after a slot"


def test_a_hashed_field_is_told_with_its_number():
    schedule = cron("H 9 * * *").schedule
    (minute,) = schedule.minutes
    (found,) = mismatches(cron("H 9 * * *"), at(f"09:{(minute + 1) % 60:02}"))
    assert str(found) == f"minute {(minute + 1) % 60} is not in 'H = {minute}'"
