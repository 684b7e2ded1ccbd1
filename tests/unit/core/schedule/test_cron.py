"""When a schedule is due, one sentence per line; times are wall times of the zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.schedule import Schedule, cron_schedule, slots_between

FOUR_DAYS = timedelta(days=4)


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


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
        ("America/Caracas", datetime(2007, 12, 9, 7, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize(
    "expression", ["* * * * *", "*/7 1-3 * * *", "5,50 * * * 0", "*/20 */7 * * * *", "30 2 * * *"]
)
def test_a_walk_is_one_search_after_another(expression, zone, change):
    schedule = cron_schedule(expression, zone)
    start = change - timedelta(hours=30, minutes=11)
    searched, cursor = [], start
    while cursor is not None and cursor < start + FOUR_DAYS and len(searched) < 3000:
        cursor = schedule.search_after(cursor)
        searched.append(cursor)
    assert list(islice(schedule.walk(start), len(searched))) == searched


def test_the_end_of_time_has_no_next_slot():
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert cron_schedule("* * * * *", "UTC").next_after(end) is None
    assert cron_schedule("0 0 * * *", "Pacific/Kiritimati").next_after(end) is None
