"""Which slots a change of the clocks moved, and what is said of those that have been."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rqcron_events.core.definition import Definition
from rqcron_events.core.explain.clock_change import clock_change_text
from tests.unit.history import at, definition


def nightly(timezone: str, expression: str = "30 2 * * *") -> Definition:
    return definition(expression, timezone=timezone)


def days_told(cron: Definition) -> list[str]:
    """The days of the year on which something is said of that day's slot."""
    found = []
    slot = cron.schedule.next_after(at("01-01 00:00"))
    while slot is not None and slot < at("01-01 00:00") + timedelta(days=365):
        if clock_change_text(cron, slot):
            found.append(slot.astimezone(cron.schedule.zone).strftime("%m-%d"))
        slot = cron.schedule.next_after(slot)
    return found


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        (nightly("America/New_York"), ["03-08"]),
        (nightly("America/New_York", "30 1 * * *"), ["11-01"]),
        (nightly("Europe/Berlin"), ["03-29", "10-25"]),  # 02:30 is skipped, and shown twice
        (nightly("Australia/Lord_Howe", "45 1 * * *"), ["04-05"]),
        (nightly("America/New_York", "30 4 * * *"), []),
        (nightly("UTC"), []),
        (definition("", every_seconds=86_400), []),
    ],
    ids=lambda value: value.schedule_text if isinstance(value, Definition) else "",
)
def test_it_is_told_of_the_days_on_which_the_clocks_mattered_and_of_no_other(cron, days):
    assert days_told(cron) == days


def test_an_instant_of_a_repeated_hour_that_is_no_slot_is_not_told():
    assert clock_change_text(nightly("America/New_York", "30 1 * * *"), at("11-01 05:15")) == ""


def test_a_slot_that_fired_is_told_in_the_past_tense():
    moved = at("03-08 07:00")
    future = clock_change_text(nightly("America/New_York"), moved)
    past = clock_change_text(nightly("America/New_York"), moved, ran=True)
    assert "02:30" in past
    assert past == future.replace(" runs ", " ran ") != future
