"""When a schedule is due, one sentence per line; times are wall times of the zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.schedule import EverySchedule, Schedule, cron_schedule, slots_between

DAY = timedelta(days=1)


def slots_after(schedule: Schedule, start: datetime, count: int) -> list[datetime]:
    far = datetime(2300, 1, 1, tzinfo=UTC)
    return list(islice(slots_between(schedule, start, far, count), count))


# expression - zone - asked at - slots - sentence
WALL_TIMES = """
*/10 * * * * | UTC | 2026-03-02 09:01 | 03-02 09:10, 03-02 09:20 | every ten minutes
0 9 * * 1-5 | UTC | 2026-03-06 08:59 | 03-06 09:00, 03-09 09:00 | at nine on working days
0 9 * * MON-FRI | UTC | 2026-03-06 08:59 | 03-06 09:00, 03-09 09:00 | days have names
0 0 1 jan,jul * | UTC | 2026-03-06 08:59 | 07-01 00:00, 01-01 00:00 | months have names, in any case
0 0 * * 0,7 | UTC | 2026-03-06 08:59 | 03-08 00:00, 03-15 00:00 | Sunday is 0 and 7
0 0 * * 5-7 | UTC | 2026-03-04 08:59 | 03-06 00:00, 03-07 00:00, 03-08 00:00, 03-13 00:00 | a range may run to Sunday as 7
0 0 * * 4/3 | UTC | 2026-03-04 08:59 | 03-05 00:00, 03-08 00:00, 03-12 00:00 | a step starts at its first day
19-19 * * * * | UTC | 2026-03-04 08:59 | 03-04 09:19, 03-04 10:19 | an equal range is one value
0 0 13 * 5 | UTC | 2026-03-02 00:00 | 03-06 00:00, 03-13 00:00, 03-20 00:00 | day or weekday, when both are given
0 0 */2 * 1 | UTC | 2026-03-02 00:00 | 03-09 00:00, 03-23 00:00 | day and weekday, when one begins with a star
0 0 29 2 * | UTC | 2026-03-02 00:00 | 2028-02-29 00:00, 2032-02-29 00:00 | 29 February in leap years
0 0 31 * * | UTC | 2026-03-02 00:00 | 03-31 00:00, 05-31 00:00 | months without that day are left out
0 0 L * * | UTC | 2026-02-02 00:00 | 02-28 00:00, 03-31 00:00 | L is the last day of the month
0 0 15,L * * | UTC | 2026-02-02 00:00 | 02-15 00:00, 02-28 00:00, 03-15 00:00 | L may stand in a list
0 0 * * L5 | UTC | 2026-03-02 00:00 | 03-27 00:00, 04-24 00:00 | L5 is the last Friday
0 0 * * FRI#2 | UTC | 2026-03-02 00:00 | 03-13 00:00, 04-10 00:00 | #2 is the second one of the month
0 0 * * 1#1,1#3 | UTC | 2026-03-02 00:00 | 03-16 00:00, 04-06 00:00, 04-20 00:00 | several of them
0 0 * * 5#5 | UTC | 2026-03-02 00:00 | 05-29 00:00, 07-31 00:00 | months without a fifth Friday are left out
0 9 15W * * | UTC | 2026-02-02 00:00 | 02-16 09:00, 03-16 09:00, 04-15 09:00 | W is the nearest weekday
0 9 1W * * | UTC | 2026-07-31 00:00 | 08-03 09:00, 09-01 09:00 | W stays in the month at its start
0 9 31W * * | UTC | 2026-01-02 00:00 | 01-30 09:00, 03-31 09:00, 05-29 09:00 | and at its end
*/20 * * * * * | UTC | 2026-03-02 09:00 | 03-02 09:00:20, 03-02 09:00:40, 03-02 09:01:00 | six fields have seconds first
30 0 9 * * * | UTC | 2026-03-02 09:00:31 | 03-03 09:00:30 | one second of a day
@hourly | UTC | 2026-03-02 09:00 | 03-02 10:00, 03-02 11:00 | alias: every hour
@daily | UTC | 2026-03-02 09:00 | 03-03 00:00 | alias: every day
@midnight | UTC | 2026-03-02 09:00 | 03-03 00:00 | alias: the same
@weekly | UTC | 2026-03-02 09:00 | 03-08 00:00 | alias: Sunday
@monthly | UTC | 2026-03-02 09:00 | 04-01 00:00 | alias: the first
@yearly | UTC | 2026-03-02 09:00 | 01-01 00:00 | alias: 1 January
@annually | UTC | 2026-03-02 09:00 | 01-01 00:00 | alias: the same
 5  4 * *  * | UTC | 2026-03-02 09:00 | 03-03 04:05 | blanks do not matter
0 9 * * * | Asia/Kathmandu | 2026-03-02 09:00 | 03-03 09:00 | an offset of a quarter of an hour
30 2 * * * | America/New_York | 2026-03-07 12:00 | 03-08 03:00, 03-09 02:30 | a skipped time runs once right after the gap
0,30 2 * * * | America/New_York | 2026-03-07 12:00 | 03-08 03:00, 03-09 02:00 | several skipped times run once together
0 3 * * * | America/New_York | 2026-03-07 12:00 | 03-08 03:00, 03-09 03:00 | the end of the gap is an ordinary time
30 2,3 * * * | America/New_York | 2026-03-07 12:00 | 03-08 03:00, 03-08 03:30 | a skipped time and an ordinary one
30 1 * * * | America/New_York | 2026-10-31 12:00 | 11-01 01:30-0400, 11-02 01:30 | a repeated time runs once, in the first pass
0 2 * * * | America/New_York | 2026-10-31 12:00 | 11-01 02:00-0500, 11-02 02:00 | the end of the fold is an ordinary time
30 1 1 11 * | America/New_York | 2026-11-01 01:30-0500 | 2027-11-01 01:30 | asked in the second pass: it has run
*/30 * * * * | America/New_York | 2026-03-08 01:20 | 03-08 01:30, 03-08 03:00, 03-08 03:30 | a star in minutes follows real time over the gap
*/30 * * * * | America/New_York | 2026-11-01 00:50 | 11-01 01:00-0400, 11-01 01:30-0400, 11-01 01:00-0500, 11-01 01:30-0500, 11-01 02:00 | and through the fold
30 * * * * | America/New_York | 2026-11-01 00:50 | 11-01 01:30-0400, 11-01 01:30-0500, 11-01 02:30 | a star in hours follows real time too
30 */2 * * * | America/New_York | 2026-03-08 00:00 | 03-08 00:30, 03-08 04:30 | real time: a skipped slot does not exist
*/15 1 * * * | America/New_York | 2026-11-01 01:40-0400 | 11-01 01:45-0400, 11-01 01:00-0500 | real time: both passes
0 30 1 * * * | America/New_York | 2026-10-31 12:00 | 11-01 01:30-0400, 11-01 01:30-0500 | six fields follow real time
45 1 * * * | Australia/Lord_Howe | 2026-04-04 12:00 | 04-05 01:45+1100, 04-06 01:45+1030 | a fold of half an hour: the first pass
45 1 5 4 * | Australia/Lord_Howe | 2026-04-05 01:45+1030 | 2027-04-05 01:45 | and not again in the second
15 2 * * * | Australia/Lord_Howe | 2026-10-03 12:00 | 10-04 02:30, 10-05 02:15 | a gap of half an hour: right after it
*/20 * * * * | Australia/Lord_Howe | 2026-10-04 01:30 | 10-04 01:40, 10-04 02:40, 10-04 03:00 | real time over that gap
*/20 * * * * | Australia/Lord_Howe | 2026-04-05 01:30+1100 | 04-05 01:40+1100, 04-05 01:40+1030, 04-05 02:00 | and through that fold
0 9 * * * | Pacific/Apia | 2011-12-29 00:00 | 12-29 09:00, 12-31 00:00, 12-31 09:00 | a day that the zone skipped runs right after it
0 9 30 12 * | Pacific/Apia | 2011-12-29 00:00 | 12-31 00:00, 2012-12-30 09:00 | even when it was the only one
0 * * * * | Pacific/Apia | 2011-12-29 22:30 | 12-29 23:00, 12-31 00:00, 12-31 01:00 | real time goes straight on
0 0 * * * | America/Sao_Paulo | 2018-11-03 12:00 | 11-04 01:00, 11-05 00:00 | a skipped midnight
* * * * 0 | America/Sao_Paulo | 2018-11-03 23:58 | 11-04 01:00, 11-04 01:01 | a Sunday that begins at one
"""


def wall(text: str, zone: ZoneInfo, year: int) -> datetime:
    """``03-02 09:00``, with year, seconds or an offset where they matter."""
    text = text.strip()
    if text[4] != "-":
        text = f"{year}-{text}"
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def table_rows():
    for line in WALL_TIMES.strip().splitlines():
        expression, zone, start, slots, sentence = line.split(" | ")
        yield pytest.param(expression, zone, start, slots, id=f"{expression} - {sentence}")


@pytest.mark.parametrize(("expression", "zone", "start", "slots"), list(table_rows()))
def test_slots(expression, zone, start, slots):
    info = ZoneInfo(zone)
    asked = wall(start, info, 0)
    expected: list[datetime] = []
    for text in slots.split(","):
        year = (expected or [asked])[-1].astimezone(info).year
        slot = wall(text, info, year)
        expected.append(slot if slot > asked else wall(text, info, year + 1))
    schedule = cron_schedule(expression, zone)
    found = slots_after(schedule, asked, len(expected))
    assert [str(item.astimezone(info)) for item in found] == [
        str(item.astimezone(info)) for item in expected
    ]
    assert all(item.tzinfo is UTC for item in found)
    for slot, following in pairwise(found):
        assert schedule.prev_until(slot) == slot
        assert schedule.prev_until(following - timedelta(microseconds=1)) == slot


WRONG = {
    "61 * * * *": "minute must be 0-59, got 61",
    "* 24 * * *": "hour must be 0-23, got 24",
    "0 0 0 * *": "day of month must be 1-31, got 0",
    "0 0 32 * *": "day of month must be 1-31, got 32",
    "0 0 * 13 *": "month must be 1-12, got 13",
    "0 0 * * 8": "day of week must be 0-7, got 8",
    "60 * * * * *": "second must be 0-59, got 60",
    "0 0 24 * * *": "hour must be 0-23, got 24",
    "10-70/5 * * * *": "minute must be 0-59, got 70",
    "0 0 * FOO *": "month 'FOO' is not understood; give 1-12 or names such as JAN",
    "0 0 * * MO": "day of week 'MO' is not understood; give 0-7 or names such as MON",
    "a * * * *": "minute 'a' is not understood; give 0-59",
    "*/0 * * * *": "minute '*/0' is not understood; give 0-59",
    "-1 * * * *": "minute '-1' is not understood; give 0-59",
    "1,,2 * * * *": "minute '1,,2' is not understood; give 0-59",
    "0 0 * * 5#L": "day of week '5#L' is not understood",
    "* * * *": "it has 4 fields; give five (minute hour day month weekday) or six",
    "* * * * * * *": "it has 7 fields; give five",
    "": "it has 0 fields; give five",
    "@fortnightly": "unknown alias; use one of @annually, @daily",
    "@reboot": "unknown alias; use one of",
    "R * * * *": "use H, which is hashed from the cron's name",
    "0 0 30 2 *": "no date matches it in 50 years; check the day of month against the month",
    "0 0 1 * 1#3 *": "",
}


@pytest.mark.parametrize("expression", WRONG)
def test_a_bad_expression_is_refused_with_its_value_and_the_remedy(expression):
    with pytest.raises(ValueError, match="invalid") as caught:
        cron_schedule(expression, "UTC")
    assert f"schedule {expression!r} is invalid: " in str(caught.value)
    assert WRONG[expression] in str(caught.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "CEST"])
def test_a_bad_zone_is_refused_with_its_value_and_the_remedy(zone):
    with pytest.raises(ValueError, match="an IANA zone such as 'Europe/Berlin'") as caught:
        cron_schedule("* * * * *", zone)
    assert f"timezone {zone!r}" in str(caught.value)


def test_h_is_the_same_for_one_name_and_spreads_over_names():
    start = datetime(2026, 3, 2, tzinfo=UTC)
    first = cron_schedule("H H * * *", "UTC", "alpha").next_after(start)
    assert first == cron_schedule("H H * * *", "UTC", "alpha").next_after(start)
    times = {
        cron_schedule("H H * * *", "UTC", f"cron {number}").next_after(start)
        for number in range(50)
    }
    assert len(times) > 40


def test_h_stays_in_its_range_and_keeps_its_step():
    for number in range(50):
        quarter = cron_schedule("H/15 * * * *", "UTC", f"cron {number}")
        assert len(quarter.minutes) == 4
        assert {b - a for a, b in zip(quarter.minutes, quarter.minutes[1:], strict=False)} == {15}
        assert set(cron_schedule("H(10-20) * * * *", "UTC", str(number)).minutes) <= set(
            range(10, 21)
        )


def test_h_in_the_minute_is_a_time_of_day():
    assert cron_schedule("H 2 * * *", "America/New_York", "alpha").times_of_day
    assert not cron_schedule("H * * * *", "America/New_York", "alpha").times_of_day


EXPRESSIONS = st.sampled_from([line.split(" | ")[0] for line in WALL_TIMES.strip().splitlines()])
INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2037, 1, 1), timezones=st.just(UTC))
ZONES = st.sampled_from(sorted({line.split(" | ")[1] for line in WALL_TIMES.strip().splitlines()}))


@given(EXPRESSIONS, ZONES, INSTANTS)
def test_prev_until_agrees_with_next_after(expression, zone, instant):
    schedule = cron_schedule(expression, zone)
    following = schedule.next_after(instant)
    assert following is not None
    assert following > instant
    assert schedule.prev_until(following) == following
    before = schedule.prev_until(instant)
    if before is not None:
        assert before <= instant
        assert schedule.next_after(before) == following
        assert schedule.next_after(before - timedelta(microseconds=1)) == before


@given(
    st.integers(1, 40 * 86_400).flatmap(
        lambda period: st.tuples(st.just(period), st.integers(0, period - 1))
    ),
    INSTANTS,
    INSTANTS,
)
def test_a_period_is_aligned_to_the_epoch_whenever_one_asks(spec, instant, restart):
    period, offset = (timedelta(seconds=seconds) for seconds in spec)
    schedule = EverySchedule(period, offset)
    for asked in (instant, restart):
        slot = schedule.next_after(asked)
        assert slot is not None
        assert timedelta(0) < slot - asked <= period
        assert (slot - datetime(1970, 1, 1, tzinfo=UTC) - offset) % period == timedelta(0)
        assert schedule.prev_until(slot) == slot
        assert schedule.prev_until(asked) == slot - period
    # The slots seen from an early start and from a late one are the same.
    early, late = sorted((instant, restart))
    seen = schedule.next_after(early)
    assert seen is not None
    seen += period * max(0, -((seen - late) // period) - 1)
    while seen <= late:
        seen += period
    assert seen == schedule.next_after(late)


@pytest.mark.parametrize(
    ("period", "offset", "message"),
    [
        (timedelta(0), timedelta(0), "every=0:00:00 is invalid: .* at least one"),
        (timedelta(seconds=-5), timedelta(0), "at least one"),
        (timedelta(milliseconds=1500), timedelta(0), "whole number of seconds"),
        (DAY, DAY, "offset=1 day, 0:00:00 is invalid: .* less than every=1 day"),
        (DAY, timedelta(seconds=-1), "from zero"),
        (DAY, timedelta(milliseconds=1), "whole seconds"),
    ],
)
def test_a_bad_period_is_refused_with_its_value_and_the_remedy(period, offset, message):
    with pytest.raises(ValueError, match=message):
        EverySchedule(period, offset)


def test_the_end_of_time_has_no_next_slot():
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert cron_schedule("* * * * *", "UTC").next_after(end) is None
    assert cron_schedule("0 0 * * *", "Pacific/Kiritimati").next_after(end) is None
    assert EverySchedule(DAY).next_after(end) is None


def test_enumeration_is_bounded():
    schedule = cron_schedule("* * * * *", "UTC")
    start = datetime(2026, 3, 2, tzinfo=UTC)
    assert len(list(slots_between(schedule, start, start + DAY * 365, 100))) == 100
    assert list(slots_between(schedule, start, start, 100)) == []
    assert list(slots_between(schedule, start, start + DAY, 0)) == []
