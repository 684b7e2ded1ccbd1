"""Schedules that another scheduler got wrong, by the report of it; see ``docs/field-reports.md``."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, product
from zoneinfo import ZoneInfo, available_timezones

import pytest

from rqcron_events.core.schedule import cron_schedule, slots_between
from tests.processes import ROOT

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# report - expression - zone - asked at - slots - what went wrong there
REPORTED = """
cronie-218 | 0 12 * * 0 | Europe/Berlin | 2022-03-24 12:00+01:00 | 2022-03-27 12:00+02:00, 2022-04-03 12:00+02:00 | a Sunday of 23 hours was jumped
node-cron-518 | 30 2 * * * | America/New_York | 2026-03-08 06:30+00:00 | 2026-03-08 03:00-04:00, 2026-03-09 02:30-04:00 | ten months off
prefect-5957 | 0 0 * * 0 | America/Santiago | 2022-09-03 12:00-04:00 | 2022-09-04 00:00-04:00 | the same past instant for ever
prefect-5957-gap | 0 0 * * 0 | America/Santiago | 2021-09-04 12:00-04:00 | 2021-09-05 01:00-03:00, 2021-09-12 00:00-03:00 | a midnight that does not exist
fugit-53 | 0 0 * * 1 | Europe/Zurich | 2021-03-24 12:00+01:00 | 2021-03-29 00:00+02:00, 2021-04-05 00:00+02:00 | two weeks off
fugit-48 | 55 6 * * 2#1 | America/Los_Angeles | 2020-11-30 12:00-08:00 | 2020-12-01 06:55-08:00, 2021-01-05 06:55-08:00 | an hour early
fugit-48-change | 55 6 * * 2#1 | America/Los_Angeles | 2020-10-30 12:00-07:00 | 2020-11-03 06:55-08:00 | the same, across the change
airflow-7999 | 0 7,9 * * * | America/Los_Angeles | 2020-03-07 12:00-08:00 | 2020-03-08 07:00-07:00, 2020-03-08 09:00-07:00, 2020-03-09 07:00-07:00 | at eight instead of nine
airflow-30088 | 20 */4 * * * | America/Los_Angeles | 2023-03-11 20:20-08:00 | 2023-03-12 00:20-08:00, 2023-03-12 04:20-07:00, 2023-03-12 08:20-07:00 | an assertion failed for 40 minutes
airflow-70089 | 0 2 * * * | America/New_York | 2024-03-10 07:30+00:00 | 2024-03-11 02:00-04:00 | the next run was lost
celery-10131 | 0 * * * * | America/Los_Angeles | 2024-11-03 00:30-07:00 | 2024-11-03 01:00-07:00, 2024-11-03 01:00-08:00, 2024-11-03 02:00-08:00 | the second one o'clock was skipped
procrastinate-1472 | 0 9 * * * | Africa/Blantyre | 2026-03-02 06:00+00:00 | 2026-03-02 09:00+02:00, 2026-03-03 09:00+02:00 | no zone for a task
croniter-177 | 0 0 8-9 * 0#2 | UTC | 2026-03-02 00:00+00:00 | 2026-03-08 00:00+00:00, 2026-03-09 00:00+00:00, 2026-04-08 00:00+00:00, 2026-04-09 00:00+00:00, 2026-04-12 00:00+00:00 | the 8th and 9th were lost beside #
croniter-142 | 48 14 31 6 0 | UTC | 2026-05-30 00:00+00:00 | 2026-06-07 14:48+00:00, 2026-06-14 14:48+00:00, 2026-06-21 14:48+00:00, 2026-06-28 14:48+00:00, 2027-06-06 14:48+00:00 | no date at all
croniter-55 | 0 0 29 2 * | UTC | 2016-02-29 00:00+00:00 | 2020-02-29 00:00+00:00, 2024-02-29 00:00+00:00 | no next leap day
croniter-90 | * * * * 7 | UTC | 2026-03-07 12:00+00:00 | 2026-03-08 00:00+00:00, 2026-03-08 00:01+00:00 | 7 was Sunday no more
cronie-200 | 0 0 * * sat-sun | UTC | 2026-03-02 00:00+00:00 | 2026-03-07 00:00+00:00, 2026-03-08 00:00+00:00, 2026-03-14 00:00+00:00 | refused
croniter-119 | 0 0 * * sun-thu | UTC | 2026-03-02 00:00+00:00 | 2026-03-03 00:00+00:00, 2026-03-04 00:00+00:00, 2026-03-05 00:00+00:00, 2026-03-08 00:00+00:00 | refused
openhab-1516 | 0 0 * * mon-sun | UTC | 2026-03-06 00:00+00:00 | 2026-03-07 00:00+00:00, 2026-03-08 00:00+00:00, 2026-03-09 00:00+00:00 | refused
cronie-191 | 0 11 1-7 * FRI | UTC | 2026-03-04 12:00+00:00 | 2026-03-05 11:00+00:00, 2026-03-06 11:00+00:00, 2026-03-07 11:00+00:00, 2026-03-13 11:00+00:00 | taken for the first Friday
croner-267 | 0 0 1-31 * 4 | UTC | 2026-03-02 00:00+00:00 | 2026-03-03 00:00+00:00, 2026-03-04 00:00+00:00, 2026-03-05 00:00+00:00 | taken for Thursdays
kube-state-metrics-2978 | */120 4-22 * * * | UTC | 2026-03-02 04:30+00:00 | 2026-03-02 05:00+00:00, 2026-03-02 06:00+00:00 | the exporter panicked
kestra-9945 | 0 0 ? * MON | UTC | 2026-03-02 12:00+00:00 | 2026-03-09 00:00+00:00, 2026-03-16 00:00+00:00 | ? was refused
node-cron-473 | 0 0 12 1 * ? | UTC | 2026-03-02 12:00+00:00 | 2026-04-01 12:00+00:00, 2026-05-01 12:00+00:00 | ? was refused
"""
ROWS = [line.split(" | ") for line in REPORTED.strip().splitlines()]


def shown(slots: Iterator[datetime], zone: str) -> str:
    return ", ".join(slot.astimezone(ZoneInfo(zone)).isoformat(" ", "minutes") for slot in slots)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_slots_of_reports(row):
    _, expression, zone, asked, expected, _ = row
    schedule = cron_schedule(expression, zone)
    start = datetime.fromisoformat(asked)
    count = expected.count(",") + 1
    assert shown(slots_between(schedule, start, start + 4000 * DAY, count), zone) == expected
    assert shown(islice(schedule.walk(start), count), zone) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "asked", "before"),
    [
        ("0 2 * * *", "America/New_York", "2024-03-10 07:30+00:00", "2024-03-10 07:00+00:00"),
        ("0 0 29 2 *", "UTC", "2016-02-29 12:00+00:00", "2016-02-29 00:00+00:00"),
        ("0 0 29 2 *", "UTC", "2016-02-29 00:00+00:00", "2016-02-29 00:00+00:00"),
        ("0 0 29 2 *", "UTC", "2016-02-28 23:59+00:00", "2012-02-29 00:00+00:00"),
        ("0 0 29 * *", "UTC", "2024-03-02 00:00+00:00", "2024-02-29 00:00+00:00"),
    ],
    ids=[
        "airflow-70089",
        "croniter-62",
        "croniter-62-itself",
        "croniter-62-before",
        "croniter-203",
    ],
)
def test_previous_slots_of_reports(expression, zone, asked, before):
    schedule = cron_schedule(expression, zone)
    assert schedule.prev_until(datetime.fromisoformat(asked)) == datetime.fromisoformat(before)


def test_a_minutely_cron_fires_each_minute_of_a_repeated_hour():
    """systemd 8647: the timer was silent for the whole second pass."""
    schedule = cron_schedule("* * * * *", "Europe/Berlin")
    start = datetime(2018, 10, 27, 23, 59, tzinfo=UTC)  # two passes from 02:00 local follow
    found = list(slots_between(schedule, start, start + 121 * MINUTE, 1000))
    assert found == [start + number * MINUTE for number in range(1, 122)]


def test_a_time_of_day_stays_the_same_all_year():
    """django-q2 44: six in the morning in Berlin became five, or seven, in winter."""
    zone = ZoneInfo("Europe/Berlin")
    schedule = cron_schedule("0 6 * * *", zone.key)
    start = datetime(2025, 12, 31, 12, tzinfo=zone)
    found = [slot.astimezone(zone) for slot in islice(schedule.walk(start), 365)]
    assert [f"{slot:%m-%d %H:%M}" for slot in found] == [
        f"{date(2026, 1, 1) + number * DAY:%m-%d} 06:00" for number in range(365)
    ]


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIELDS = {
    "minute": ("{} 0 * * *", range(60), {}),
    "hour": ("0 {} * * *", range(24), {}),
    "day of month": ("0 0 {} * *", range(1, 32), {}),
    "month": ("0 0 1 {} *", range(1, 13), dict(enumerate(MONTHS, 1))),
    "day of week": ("0 0 * * {}", range(8), dict(enumerate([*WEEKDAYS, "sun"]))),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_range_whose_ends_are_one_value_is_that_value(field):
    """Found while probing cronie 200: ``7-0``, ``mon-1``, ``05-5`` were read as the whole field."""
    expression, values, names = FIELDS[field]
    for value in values:
        spelled = {str(value), f"{value:02}"}
        if value in names:
            spelled |= {names[value], names[value].upper()}
        if field == "day of week" and value in (0, 7):
            spelled |= {"0", "7"}
        single = cron_schedule(expression.format(value), "UTC")
        for first, last in product(sorted(spelled), repeat=2):
            if field == "day of week" and last in ("7", "07") and first not in ("7", "07"):
                continue  # 0-7 is the whole week, as in crontab(5)
            try:
                found = cron_schedule(expression.format(f"{first}-{last}"), "UTC")
            except ValueError as error:
                assert "two readings" in str(error)  # Sunday, or from 0 to 7
                continue
            for part in ("minutes", "hours", "days", "months", "weekdays"):
                assert getattr(found, part) == getattr(single, part), f"{first}-{last}"


# --- the process's own time zone


@pytest.fixture(params=["Europe/London", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
def zone_of_the_machine(request, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_zone_of_the_machine_changes_no_slot(zone_of_the_machine):
    """cronie 124, kubernetes 78795: a cron in UTC was not run while London's clocks went back."""
    schedule = cron_schedule("1-59 * * * *", "UTC", "asked under this zone")
    start = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    found = list(slots_between(schedule, start, start + 2 * 60 * MINUTE, 1000))
    expected = [start + number * MINUTE for number in range(1, 121)]
    assert found == [slot for slot in expected if slot.minute != 0]
    for _, expression, zone, asked, slots, _ in ROWS:
        schedule = cron_schedule(expression, zone)
        assert (
            shown(islice(schedule.walk(datetime.fromisoformat(asked)), slots.count(",") + 1), zone)
            == slots
        )


# --- every zone


YEARS = (datetime(2012, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
STEP = 14 * DAY
"""No zone changes its offset there and back within it, in these years."""


@cache
def changes() -> dict[str, list[datetime]]:
    """Zone -> the instants at which its offset changes; one name for each set of rules."""
    steps = [YEARS[0] + number * STEP for number in range((YEARS[1] - YEARS[0]) // STEP)]
    found: dict[tuple[timedelta | None, ...], str] = {}
    for name in sorted(available_timezones() - {"localtime"}):
        zone = ZoneInfo(name)
        found.setdefault(tuple(step.astimezone(zone).utcoffset() for step in steps), name)
    return {
        name: [
            _change_after(step, ZoneInfo(name))
            for step, offset, following in zip(steps, offsets, offsets[1:], strict=False)
            if offset != following
        ]
        for offsets, name in found.items()
    }


def _change_after(low: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after ``low`` with another offset, to the minute."""
    offset, high = low.astimezone(zone).utcoffset(), low + STEP
    while high - low > MINUTE:
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high.replace(second=0, microsecond=0)


@pytest.mark.parametrize("time_of_day", ["0 12", "0 0"], ids=["noon", "midnight"])
def test_no_local_day_is_jumped_in_any_zone(time_of_day):
    """cronie 218, fugit 53 and prefect 5957, for every zone and each change of its clocks."""
    wrong, asked = [], 0
    for name, instants in changes().items():
        zone = ZoneInfo(name)
        weekly = [cron_schedule(f"{time_of_day} * * {number}", name) for number in range(7)]
        for instant in instants:
            for number in (-1, 0, 1):
                day = instant.astimezone(zone).date() + number * DAY
                noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
                if noon.astimezone(UTC).astimezone(zone).date() != day:
                    continue  # the zone has no such day
                asked += 1
                found = weekly[day.isoweekday() % 7].search_after(noon - 3 * DAY)
                if found is None or found.astimezone(zone).date() != day:
                    wrong.append((name, day, found))
    assert asked > 3_000
    assert wrong == []


@pytest.mark.parametrize(
    "zone", ["Australia/Lord_Howe", "Europe/Zurich", "Australia/Sydney", "America/New_York"]
)
@pytest.mark.parametrize(
    "expression", ["0 2 * * *", "30 2 * * *", "15 */2 * * *", "*/20 1-3 * * *"]
)
def test_previous_and_next_slot_are_inverse_around_a_change(zone, expression):
    """airflow 70089: the previous slot was the instant of asking, and the next run was lost."""
    schedule = cron_schedule(expression, zone)
    for month in (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 9, 25, tzinfo=UTC)):
        change = next(
            _change_after(step, schedule.zone)
            for step in (month + number * STEP for number in range(5))
            if schedule.offset_at(step) != schedule.offset_at(step + STEP)
        )
        slots = list(slots_between(schedule, change - 30 * HOUR, change + 30 * HOUR, 1000))
        assert len(slots) >= 2
        for slot, following in pairwise(slots):
            assert slot < following
            for asked in (slot, slot + (following - slot) / 2, following - SECOND):
                assert schedule.prev_until(asked) == slot
                assert schedule.next_after(asked) == following


# --- refused


REFUSED = {
    "0 0 31 2 *": "no date matches it",  # croniter (pallets-eco) 141: valid, and raised later
    "@reboot": "unknown alias",  # oban_web 2.12: the page had no next time to show
    "0 0 LW * *": "day of month 'LW'",  # cronsim 1, node-cron 570, cron-utils 670
    "0 0 L-3 * *": "day of month 'L-3'",
    "0 0 * * 5L": "write L5",
    "0 15 10 * * ? 2005": "it has 7 fields; give five",  # kestra 9945
    "0 0 1--100000000 * *": "day of month",  # oban_web 2.12: memory without bound
    "0 0 1-100000000 * *": "day of month",
    "0-99999999999999999999 * * * *": "minute",
    "H(0-100000000) * * * *": "minute",
    f"{'1,' * 2_000}60 * * * *": "minute",
}


@pytest.mark.parametrize("expression", REFUSED, ids=lambda text: text[:24])
def test_what_took_others_down_is_refused_within_bounds(expression):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="invalid") as caught:
            cron_schedule(expression, "UTC", "asked")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert REFUSED[expression] in str(caught.value)
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize("zone", ["UTC+3", "Etc/Unknown", "US/Nowhere"])
def test_zones_of_reports_are_refused(zone):
    """taskiq 669, zammad 4320: one such zone ended the scheduler for all."""
    with pytest.raises(ValueError, match="an IANA zone such as 'Europe/Berlin'"):
        cron_schedule("* * * * *", zone)


def test_the_page_names_the_cases_that_are_here_and_counts_its_rows():
    text = (ROOT / "docs" / "field-reports.md").read_text()
    named = re.findall(r"`test_slots_of_reports` \(([^)]+)\)", text)
    assert sorted(", ".join(named).split(", ")) == sorted(row[0] for row in ROWS)
    answered, _, left = text.partition("\n## Not applicable\n")
    rows = re.findall(r"^\| (?!report).*", answered, re.MULTILINE)
    others = re.findall(r"^\| (?!report).*", left, re.MULTILINE)
    in_part = sum("**Not yet**" in row for row in rows)
    assert all("`test_" in row for row in rows)
    assert re.findall(r"\d+", text.partition("\n## ")[0])[:5] == [
        str(len(rows) + len(others)), str(len(rows)),
        str(len(rows) - in_part), str(in_part), str(len(others)),
    ]  # fmt: skip
