"""A walk gives the very slots that one search after another gives, through changes of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from rqcron_events.core.schedule import cron_schedule

DAYS = timedelta(days=4)


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
    while cursor is not None and cursor < start + DAYS and len(searched) < 3000:
        cursor = schedule.search_after(cursor)
        searched.append(cursor)
    assert list(islice(schedule.walk(start), len(searched))) == searched
