"""A change of the clocks, in words."""

from __future__ import annotations

from datetime import datetime

import pytest

from rqcron_events.core.definition import Definition
from rqcron_events.core.explain.clock_change import clock_change_text


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
