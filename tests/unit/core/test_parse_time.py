"""What people may write for a time, and which instant it is."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rqcron_events.core.parse_time import leaves_the_day_open, read_instant

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 11, 15, 30, tzinfo=BERLIN)
"""A Wednesday, in winter time."""


def read(text: str, *, now: datetime = NOW, zone=BERLIN, future: bool = False) -> str:
    found = read_instant(text, now=now, zone=zone, future=future)
    assert found.tzinfo is UTC
    return found.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("text", "wall_in_berlin"),
    [
        ("2026-03-01T09:00:00Z", "2026-03-01 10:00:00"),
        ("2026-03-01T09:00:00+05:30", "2026-03-01 04:30:00"),
        ("2026-03-01 09:00 +01:00", "2026-03-01 09:00:00"),
        ("2026-03-01 09:00 UTC", "2026-03-01 10:00:00"),
        ("2026-03-01 09:00 Europe/Berlin", "2026-03-01 09:00:00"),
        ("2026-03-01 09:00 america/new_york", "2026-03-01 15:00:00"),
        ("2026-03-01 Europe/Berlin", "2026-03-01 00:00:00"),
        ("2026-03-01", "2026-03-01 00:00:00"),
        ("now", "2026-03-11 15:30:00"),
        ("yesterday 9am", "2026-03-10 09:00:00"),
        ("  Yesterday   at 9 AM ", "2026-03-10 09:00:00"),
        ("9:00 yesterday", "2026-03-10 09:00:00"),
        ("yesterday 9am UTC", "2026-03-10 10:00:00"),
        ("yesterday 9am America/New_York", "2026-03-10 14:00:00"),
        ("yesterday at noon", "2026-03-10 12:00:00"),
        ("yesterday", "2026-03-10 00:00:00"),
        ("today", "2026-03-11 00:00:00"),
        ("the day before yesterday", "2026-03-09 00:00:00"),
        ("tomorrow 8am", "2026-03-12 08:00:00"),
        ("2 hours ago", "2026-03-11 13:30:00"),
        ("2h", "2026-03-11 13:30:00"),
        ("2h30m ago", "2026-03-11 13:00:00"),
        ("an hour ago", "2026-03-11 14:30:00"),
        ("in 2 hours", "2026-03-11 17:30:00"),
        ("3 days ago", "2026-03-08 15:30:00"),
        ("3 days ago 09:00", "2026-03-08 09:00:00"),
        ("last tuesday 14:00", "2026-03-10 14:00:00"),
        ("tuesday 14:00", "2026-03-10 14:00:00"),
        ("wednesday 9am", "2026-03-04 09:00:00"),  # a weekday is never today
        ("next friday", "2026-03-13 00:00:00"),
        ("9am", "2026-03-11 09:00:00"),
        ("18:00", "2026-03-10 18:00:00"),
        ("march 1 9am", "2026-03-01 09:00:00"),
        ("1 march 2025 09:00", "2025-03-01 09:00:00"),
        ("december 24", "2025-12-24 00:00:00"),
        ("2026-03-01T09:00:00", "2026-03-01 09:00:00"),
        ("2026-03-01 09:00", "2026-03-01 09:00:00"),
        ("2026-03-01 9am", "2026-03-01 09:00:00"),
    ],
)
def test_a_time_in_words_is_this_instant(text: str, wall_in_berlin: str):
    assert read(text) == wall_in_berlin


@pytest.mark.parametrize(
    ("text", "wall_in_berlin"),
    [
        ("2h", "2026-03-11 17:30:00"),
        ("9am", "2026-03-12 09:00:00"),
        ("friday", "2026-03-13 00:00:00"),
        ("tomorrow 8am", "2026-03-12 08:00:00"),
        ("march 1", "2027-03-01 00:00:00"),
        ("2 hours ago", "2026-03-11 13:30:00"),
    ],
)
def test_where_an_end_is_asked_for_the_future_is_meant(text: str, wall_in_berlin: str):
    assert read(text, future=True) == wall_in_berlin


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("01/02/2026", r"'01/02/2026' can be read in more than one way.*2026-03-01T09:00:00Z"),
        ("01.02.2026 10:00", r"'01.02.2026' can be read"),
        ("1/2", r"'1/2' can be read"),
        ("2026-13-01 UTC", r"'2026-13-01' can be read in more than one way, or in none"),
        ("31 feb 2026", r"is not an instant"),
        ("yesterday 25:00", r"'25:00' can be read"),
        ("yesterday 9", r"'9' can be read"),
        ("2026", r"'2026' can be read"),
        ("yesterday 9am EST", r"'est' is not understood"),
        ("gestern 9:00", r"'gestern' is not understood"),
        ("yesterday tomorrow", r"is not one instant but two"),
        ("3 hours 9am", r"is not one instant but two"),
        ("", r"is not an instant. Give"),
        ("x" * 5000, r"is not understood"),
        ("2000000000 hours ago", r"is not an instant"),
        ("0001-01-01T00:00:00+14:00", r"is not an instant"),
        ("2026-03-01 09:00 Europe/Berln", r"'Europe/Berln' is not an IANA.*mean Europe/Berlin"),
        ("yesterday 9am ../../etc", r"is not understood"),
    ],
)
def test_what_could_be_misread_is_refused_with_the_remedy(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        read(text)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
def test_words_are_read_in_the_zone_that_is_given(zone: str):
    now = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)
    found = read_instant("today 9am", now=now, zone=ZoneInfo(zone)).astimezone(ZoneInfo(zone))
    today = now.astimezone(ZoneInfo(zone)).date()
    assert (found.date(), found.hour) == (today, 9)


def test_a_wall_time_that_is_shown_twice_is_the_first_pass():
    assert read_instant("2026-10-25 02:30 Europe/Berlin", now=NOW, zone=UTC) == datetime(
        2026, 10, 25, 0, 30, tzinfo=UTC
    )


def test_a_wall_time_that_is_skipped_is_the_moment_after_the_gap_as_for_schedules():
    assert read("2026-03-08 02:30:15 America/New_York", zone=ZoneInfo("America/New_York")) == (
        "2026-03-08 03:00:00"
    )


def test_hours_count_elapsed_time_and_days_keep_the_time_of_day():
    """Berlin's clocks went from 02:00 to 03:00 on 2026-03-29."""
    now = datetime(2026, 3, 29, 8, 0, tzinfo=BERLIN)
    assert read("12 hours ago", now=now) == "2026-03-28 19:00:00"
    assert read("1 day ago", now=now) == "2026-03-28 08:00:00"


def test_now_is_now_in_the_second_pass_too():
    now = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 in Berlin, for the second time
    assert read_instant("now", now=now, zone=BERLIN) == now


def test_nobody_pays_for_the_parser_who_writes_iso():
    code = (
        "import sys; from datetime import *; from rqcron_events.core.parse_time import leaves_the_day_open, read_instant; "
        "read_instant('2026-03-01 09:00 Europe/Berlin', now=datetime.now(UTC), zone=UTC); "
        "sys.exit('dateparser' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("17:00", True),
        ("9am", True),
        ("friday", True),
        ("friday 5pm", True),
        ("yesterday 17:00", False),
        ("today 9am", False),
        ("last friday", False),
        ("2026-03-01", False),
        ("2026-03-01 17:00", False),
        ("2026-03-01T17:00Z", False),
        ("2h", False),
        ("now", False),
    ],
)
def test_a_time_of_day_or_a_weekday_leaves_the_day_open(text: str, is_open: bool):
    assert leaves_the_day_open(text) is is_open
