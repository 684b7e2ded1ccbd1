"""What is said of a schedule that is right and often not meant; its sentences: tests/unit/test_checks.py."""

from __future__ import annotations

import pytest

from rqcron_events.core.schedule.doubts import HERD_CRONS_MIN, DoubtKind, doubts, herds
from rqcron_events.core.schedule.parse import cron_schedule


def kinds(expression: str) -> list[DoubtKind]:
    return [doubt.kind for doubt in doubts(cron_schedule(expression, "UTC", "job"))]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", []),
        ("@daily", []),
        ("*/15 * * * *", []),
        ("*/45 * * * *", [DoubtKind.STEP]),
        ("*/45 9 * * *", []),
        ("0 0 */40 * *", [DoubtKind.STEP]),
        ("0 11 1-7 * FRI", [DoubtKind.EITHER_DAY]),
        ("*/7 * 13 * 5", [DoubtKind.EITHER_DAY]),
        ("*/40 * * * * *", [DoubtKind.STEP]),
    ],
)
def test_what_is_doubted(expression: str, expected: list[DoubtKind]) -> None:
    assert kinds(expression) == expected


def test_a_herd_is_of_daily_crons_at_one_minute_of_one_zone() -> None:
    midnight = cron_schedule("0 0 * * *", "UTC", "a")
    crons = {f"a{number:02d}": midnight for number in range(HERD_CRONS_MIN)}
    others = {
        "weekly": cron_schedule("0 0 * * 1", "UTC", "weekly"),
        "elsewhere": cron_schedule("0 0 * * *", "Europe/Berlin", "elsewhere"),
        "hourly": cron_schedule("0 * * * *", "UTC", "hourly"),
    }
    (herd,) = herds(crons | others)
    assert (herd.clock, herd.zone, herd.names) == ("00:00", "UTC", sorted(crons))
    del crons["a00"]
    assert list(herds(crons | others)) == []
