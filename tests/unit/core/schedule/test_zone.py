"""Zones by name, and the instant at which their clocks show a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rqcron_events.core.schedule import cron_schedule, first_instant, local_time, zone_or_utc
from tests.processes import ROOT


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "CEST"])
def test_a_bad_zone_is_refused_with_its_value_and_the_remedy(zone):
    with pytest.raises(ValueError, match="an IANA zone such as 'Europe/Berlin'") as caught:
        cron_schedule("* * * * *", zone)
    assert f"timezone {zone!r}" in str(caught.value)


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "Factory"])
def test_a_file_of_the_machine_is_no_zone(zone):
    """zoneinfo has them; what they mean is another thing on each machine."""
    with pytest.raises(ValueError, match="give an IANA zone such as 'Europe/Berlin'") as caught:
        cron_schedule("* * * * *", zone)
    assert f"timezone {zone!r} is invalid: it is " in str(caught.value)


@pytest.mark.parametrize("zone", ["posix/Europe/Paris", "right/Europe/Paris"])
def test_a_copy_of_a_zone_is_refused_with_the_zone_itself(zone):
    with pytest.raises(ValueError, match="give an IANA zone such as 'Europe/Paris'"):
        cron_schedule("* * * * *", zone)


@pytest.mark.parametrize("zone", ["leapseconds", "tzdata.zi", "zone.tab", "Europe", "UTC ", "\0"])
def test_what_is_no_zone_at_all_is_refused(zone):
    with pytest.raises(ValueError, match="it is not an IANA zone such as 'Europe/Berlin'"):
        cron_schedule("* * * * *", zone)


@pytest.mark.parametrize(
    "zone", ["UTC", "GMT", "EST5EDT", "Etc/GMT+5", "US/Eastern", "Asia/Calcutta"]
)
def test_every_name_that_iana_has_is_taken(zone):
    assert cron_schedule("* * * * *", zone).zone.key == zone


def test_a_zone_that_this_machine_lacks_is_shown_as_utc():
    assert zone_or_utc("Mars/Olympus") is UTC
    assert zone_or_utc("Asia/Kathmandu") == ZoneInfo("Asia/Kathmandu")


@pytest.mark.parametrize(
    ("zone", "wall", "instant"),
    [
        ("Europe/Berlin", "2026-03-02T09:00", "2026-03-02T08:00Z"),
        # A gap of an hour, of half an hour, of a day: the first minute after it.
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z"),
        ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T10:00Z"),
        # Shown twice: the first pass.
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z"),
    ],
)
def test_a_wall_time_is_its_first_instant_or_the_end_of_the_gap(zone, wall, instant):
    found = first_instant(datetime.fromisoformat(wall), ZoneInfo(zone))
    assert found == datetime.fromisoformat(instant)
    assert found.tzinfo is UTC


def test_only_schedules_ask_for_a_wall_time_that_may_not_exist():
    """At an end of the calendar ``astimezone`` raises; ``local_time`` does not."""
    found = [
        f"{path.name}: {line.strip()}"
        for source in ("rqcron_events", "projections")
        for path in (ROOT / source).rglob("*.py")
        if path.parent.name not in ("schedule", "explain")
        for line in path.read_text().splitlines()
        if re.search(r"\.astimezone\((?!UTC\))", line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("instant", "zone", "shown"),
    [
        (datetime(2026, 3, 2, 9, tzinfo=UTC), "Asia/Kathmandu", "2026-03-02 14:45:00+05:45"),
        (datetime.max.replace(tzinfo=UTC), "Asia/Kathmandu", "9999-12-31 23:59:59.999999+00:00"),
        (datetime.min.replace(tzinfo=UTC), "America/Lima", "0001-01-01 00:00:00+00:00"),
    ],
)
def test_the_ends_of_the_calendar_are_shown_in_utc(instant, zone, shown):
    assert str(local_time(instant, ZoneInfo(zone))) == shown
