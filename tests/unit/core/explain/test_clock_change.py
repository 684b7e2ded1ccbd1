"""Which slots a change of the clocks moved, and what is said of those that have been."""

from __future__ import annotations

from datetime import datetime, timedelta

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


@pytest.mark.parametrize(
    ("expression", "timezone", "instant", "text"),
    [
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T07:00:00Z",
            "02:30 did not exist on 2026-03-08 in America/New_York, where clocks went from 02:00 "
            "to 03:00; it runs at 03:00 instead",
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T15:30:00Z",
            "02:15 did not exist on 2026-10-04 in Australia/Lord_Howe, where clocks went from "
            "02:00 to 02:30; it runs at 02:30 instead",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T05:30:00Z",
            "01:30 happened twice on 2026-11-01 in America/New_York; it runs in the first pass "
            "(EDT) and not again in the second (EST)",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T06:30:00Z",
            "01:30 happened twice on 2026-11-01 in America/New_York; it runs in the first pass "
            "(EDT) and not again in the second (EST)",
        ),
        ("30 2 * * *", "America/New_York", "2026-03-09T06:30:00Z", ""),
        ("30 2 * * *", "America/New_York", "2026-03-08T07:30:00Z", ""),
        # Follows real time, so the clocks change nothing.
        ("*/30 * * * *", "America/New_York", "2026-03-08T07:00:00Z", ""),
        ("*/30 * * * *", "America/New_York", "2026-11-01T06:30:00Z", ""),
    ],
)
def test_a_change_of_the_clocks_is_told_in_words(expression, timezone, instant, text):
    definition = Definition(name="alpha", function="m:f", expression=expression, timezone=timezone)
    assert clock_change_text(definition, datetime.fromisoformat(instant)) == text
