"""What people write and no schedule has: the error says what to write instead."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from rqcron_events.core.schedule import cron_schedule


@pytest.mark.parametrize(
    ("words", "remedies"),
    [
        ("every 5 minutes", ["every=timedelta(minutes=5)", "schedule='*/5 * * * *'"]),
        ("@every 7m", ["every=timedelta(minutes=7)"]),
        ("Every 2 hours", ["every=timedelta(hours=2)", "schedule='0 */2 * * *'"]),
        ("every 60 min", ["every=timedelta(minutes=60)"]),
        ("each day", ["every=timedelta(days=1)", "schedule='0 0 * * *'"]),
        ("every monday at nine am", ["five fields", "'0 9 * * 1-5'"]),
    ],
)
def test_words_are_refused_with_what_to_write_instead(words, remedies):
    with pytest.raises(ValueError, match="words are not read") as caught:
        cron_schedule(words, "UTC")
    for remedy in remedies:
        assert remedy in str(caught.value)
        for expression in re.findall(r"schedule='(.*)'", remedy):
            assert cron_schedule(expression, "UTC").next_after(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "remedy"),
    [
        ("0 0 * * 5L", "L5 for the last FRI"),
        ("0 0 * * 0l", "L0 for the last SUN"),
        ("0 0 * * friL", "L5 for the last FRI"),
        ("0 0 * * Lsun", "L0 for the last SUN"),
        ("0 0 * * Thurs", "write THU"),
        ("0 0 * * weekday", "give 0-7 or names such as MON"),
        ("0 0 * * 1,L", "6 for Saturday, L5 for the last Friday"),
        ("0 0 * sept *", "write SEP"),
        ("0 0 * 1#2 *", "in the day of week, such as MON#2"),
        ("0 0 * * 1#6", "the number after # must be 1-5, got 6"),
        ("0 0 WL * *", "15W for the weekday nearest to the 15th"),
        ("5,H(0-5) * * * *", "H stands alone in its field"),
        ("H(5-5) * * * *", "the range of H must end after it begins"),
        ("H(10-60) * * * *", "minute must be 0-59, got 60"),
        ("H(a-b) * * * *", "H stands alone in its field"),
        ("H/0 * * * *", "a step must be 1 or more"),
        ("1" * 9_000 + " * * * *", "minute must be 0-59, got 11111111111111111111"),
    ],
)
def test_an_item_is_refused_with_what_to_write_instead(expression, remedy):
    with pytest.raises(ValueError, match="is invalid") as caught:
        cron_schedule(expression, "UTC")
    assert remedy in str(caught.value)
    assert len(str(caught.value)) < 500
