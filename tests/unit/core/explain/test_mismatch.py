"""An instant is a slot just when no field of the schedule mismatches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core.explain.mismatch import mismatches
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


@settings(max_examples=200, deadline=None)
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
