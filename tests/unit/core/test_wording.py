"""Times, durations and the middle of sentences."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rqcron_events.core.schedule import slots_between
from rqcron_events.core.wording import (
    because,
    clause,
    duration,
    late,
    schedule_words,
    shower,
    shown,
)
from tests.unit.history import at, definition


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.25, "250 ms"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (61.9, "1 min 1 s"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (86_400 + 7, "1 d 7 s"),
        (40 * 86_400, "40 d"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "on time"), (0.0004, "on time"), (0.002, "2 ms late")]
)
def test_less_than_half_a_millisecond_is_on_time(seconds, text):
    assert late(seconds) == text


@pytest.mark.parametrize(
    ("timezone", "clock", "text"),
    [
        ("UTC", "09:00", "2026-03-02 09:00:00 UTC"),
        ("Europe/Berlin", "09:00", "2026-03-02 10:00:00 CET (09:00:00 UTC)"),
        ("Europe/Berlin", "03-29 01:00", "2026-03-29 03:00:00 CEST (01:00:00 UTC)"),
        # UTC for half of the year: nothing to add then.
        ("Europe/London", "09:00", "2026-03-02 09:00:00 GMT"),
        ("Asia/Kathmandu", "20:00", "2026-03-03 01:45:00 +0545 (2026-03-02 20:00:00 UTC)"),
        ("Mars/Olympus", "09:00", "2026-03-02 09:00:00 UTC"),
    ],
)
def test_an_instant_is_shown_in_the_crons_zone_with_utc_beside_it(timezone, clock, text):
    assert shower(definition(timezone=timezone))(at(clock)) == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("H 9 * * *", "H 9 * * * = {} 9 * * *"),
        ("H/15 * * * *", None),
        ("0 9 * * 1-5", "0 9 * * 1-5"),
        ("@daily", "@daily"),
    ],
)
def test_a_hashed_schedule_says_when_it_is_due(expression, text):
    cron = definition(expression)
    told = schedule_words(cron)
    minutes = sorted(
        {slot.minute for slot in slots_between(cron.schedule, at("00:00"), at("23:59"), 99)}
    )
    known = text or "H/15 * * * * = {} * * * *"
    assert told == known.format(",".join(map(str, minutes)))


def test_the_last_second_of_all_is_shown_in_every_zone():
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert shower(definition(timezone="Asia/Tokyo"))(last) == "9999-12-31 23:59:59 UTC"


def test_without_a_cron_instants_are_in_utc_and_none_is_never():
    assert shower(None)(at("09:00")) == "2026-03-02 09:00:00 UTC"
    assert shower(None)(None) == "never"


@pytest.mark.parametrize(("reason", "text"), [("", ""), ("no mail", " (no mail)")])
def test_a_reason_is_added_where_there_is_one(reason, text):
    assert because(reason) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("It cannot be read.", "It cannot be read"),
        (ValueError(" It cannot be read.\n"), "It cannot be read"),
        ("who? me", "who? me"),
        ("", ""),
    ],
)
def test_an_error_in_a_sentence_has_no_full_stop_of_its_own(error, text):
    assert clause(error) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain caf\xe9 \u738b", "plain caf\xe9 \u738b"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x00\x1b\x7f\x85\x9b", r"\x00\x1b\x7f\x85\x9b"),
        ("\u202e\u2066\u2028\u2029\ufeff\u200b", r"\u202e\u2066\u2028\u2029\ufeff\u200b"),
        ("\ud800\U000e0001", r"\ud800\U000e0001"),
        ("\U0001f469\u200d\U0001f467", "\U0001f469\u200d\U0001f467"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("\u200dabc \u200c d\u200c", r"\u200dabc \u200c d\u200c"),
        ("1\xa0000", "1\xa0000"),
    ],
)
def test_text_of_others_is_shown_as_one_line_in_which_nothing_is_hidden(text, seen):
    assert shown(text) == seen
    assert shown(shown(text)) == seen
