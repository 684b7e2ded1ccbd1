"""The audit's count of a simulated year agrees with CronSim's, which is no code of ours."""

from __future__ import annotations

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from tests.unit.history import History, at

from .test_auditor import audited

ZONES = ("UTC", "America/New_York", "Europe/Berlin")
SCHEDULES = ("30 1,2 * * *", "15 9 * * 1-5", "0 */6 * * *", "10 3 1 * *")


@pytest.mark.parametrize("seed", range(6))
def test_a_year_of_edits_pauses_downtime_and_retirements(seed):
    source, history = random.Random(seed), History()
    start = now = at("00:00:30")
    marks = []
    while now < start + timedelta(days=365):
        match source.choice(["edit", "pause", "resume", "retire", "down", "down"]):
            case "edit":
                schedule, zone = source.choice(SCHEDULES), source.choice(ZONES)
                history.register(now, schedule=schedule, timezone=zone)
                marks.append((now, schedule, zone))
            case "retire" if history.state.definition is not None:
                history.retire(now)
                marks.append((now, None, None))
            case "pause" | "resume" as action if history.state.phases:
                getattr(history, action)(now)
        now += timedelta(hours=source.randint(1, 24 * 9), seconds=7)
        history.decide(now)
    ends = [*(mark[0] for mark in marks[1:]), now]
    expected = 0
    for (begin, schedule, zone), end in zip(marks, ends, strict=True):
        if schedule is None:
            continue
        for slot in CronSim(schedule, begin.astimezone(ZoneInfo(zone))):
            if slot > end:
                break
            expected += slot > begin
    totals = audited(history.events, now).totals
    assert (totals.expected + totals.pending, totals.unaccounted, totals.findings) == (
        expected,
        0,
        0,
    )
