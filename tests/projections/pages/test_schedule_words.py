"""A schedule in words."""

from __future__ import annotations

import pytest
from rqcron_projections.pages.slots.schedule_words import schedule_in_words

from rqcron_events.core.definition import Definition


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("5 * * * *", "every hour at minute 05"),
        ("5,35 * * * *", "every hour at minutes 05, 35"),
        ("0 9 * * 1-5", "at 09:00, Monday to Friday"),
        ("0 9,17 * * *", "every day at 09:00 and 17:00"),
        ("*/10 8-17 * * 1-5", "every 10 minutes of the hours 08 to 17, Monday to Friday"),
        ("7,9 1-5 * * 0,6", "in the hours 01 to 05 at minutes 07, 09, Saturday and Sunday"),
        ("30 */2 * * *", "every 2 hours at minute 30"),
        ("0 0 1,15 1-3 *", "at 00:00, on days 1 and 15 of the month, in January to March"),
        ("0 4 29 2 *", "at 04:00, on day 29 of the month, in February"),
        ("0 0 L * *", "at 00:00, on the last day of the month"),
        ("0 0 15W * *", "at 00:00, on the weekday nearest to day 15 of the month"),
        ("0 9 * * MON#2", "at 09:00, the second Monday of the month"),
        ("0 9 13 * 5", "at 09:00, on day 13 of the month or Friday"),
        ("0 9 */10 * 1", "at 09:00, on days 1, 11, 21 and 31 of the month if it is also Monday"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("30 0 9 * * *", "every day at 09:00:30"),
        ("15 * * * * *", "at second 15 of every minute"),
        ("0 61 * * *", ""),
    ],
)
def test_an_expression_in_words(expression, words):
    definition = Definition(name="digest", function="", expression=expression)
    assert schedule_in_words(definition) == words


@pytest.mark.parametrize(
    ("seconds", "offset", "words"),
    [
        (60, 0, "every minute"),
        (900, 0, "every 15 minutes"),
        (90, 0, "every 90 seconds"),
        (604_800, 0, "every week"),
        (3600, 300, "every hour, 5 minutes after the full period"),
        (86_400, 3600, "every day, 1 hour after the full period"),
    ],
)
def test_a_period_in_words(seconds, offset, words):
    definition = Definition(
        name="digest", function="", every_seconds=seconds, offset_seconds=offset
    )
    assert schedule_in_words(definition) == words
