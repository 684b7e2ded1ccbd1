"""A simulated year through runner, people's actions and ledger: the audit agrees with CronSim.

The promised slots are counted here without any code of the package: what the test did, and when,
and CronSim for the slots. ``RQCRON_AUDIT_YEARS=20`` simulates more of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from django.db import connection

from rqcron_events import audit
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent
from rqcron_events.operations.controls import pause, pause_all, resume, resume_all
from tests.integration.conftest import START

YEARS = int(os.environ.get("RQCRON_AUDIT_YEARS", "3"))
NAMES = ("digest", "backup", "report")
# No zone whose clock changes by half an hour: CronSim 2.8 leaves out the 06:00 that follows such a
# change in Australia/Lord_Howe, as tests/unit/core/schedule/test_cron_oracle.py tells.
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "America/Santiago")
SCHEDULES = ("30 1,2 * * *", "15 9 * * 1-5", "0 */6 * * *", "10 3 1 * *", "45 2 * * *")
POLICIES = ({}, {"catch_up": "all"}, {"catch_up": "none"}, {"max_lateness": timedelta(hours=3)})
Mark = tuple[datetime, str | None, str]
"""From then on, this schedule in this zone; None: retired."""


class Year:
    """What happened, in the order in which it did."""

    def __init__(self, seed, add, crons, deploy, clock):
        self.random = random.Random(seed)
        self.add, self.crons, self.deploy, self.clock = add, crons, deploy, clock
        self.marks: dict[str, list[Mark]] = {name: [] for name in NAMES}
        for name in NAMES:
            self.edit(name)
        self.runner = deploy()
        while clock.now < START + timedelta(days=365):
            name = self.random.choice(NAMES)
            what = self.random.choice(
                [self.edit, self.retire, self.pause, self.resume, self.everybody, None, None]
            )
            if what is not None:
                what(name)
            clock.advance(timedelta(hours=self.random.randint(1, 24 * 9), seconds=7))
            if self.random.random() < 0.7:  # otherwise nobody decides until the next time
                self.runner.tick()
        self.runner.tick()

    def edit(self, name):
        schedule, zone = self.random.choice(SCHEDULES), self.random.choice(ZONES)
        policy = self.random.choice(POLICIES)
        self.add(name, schedule=schedule, timezone=zone, **policy)
        self.marks[name].append((self.clock.now, schedule, zone))
        if hasattr(self, "runner"):
            self.runner = self.deploy()

    def retire(self, name):
        if self.crons.crons.pop(name, None) is not None:
            self.marks[name].append((self.clock.now, None, ""))
            self.runner = self.deploy()

    def pause(self, name):
        until = self.clock.now + timedelta(days=self.random.randint(1, 20))
        pause(name, reason="a move", until=self.random.choice([None, until]))

    def resume(self, name):
        resume(name)

    def everybody(self, _):
        self.random.choice([pause_all, resume_all])()

    def promised(self, name) -> Iterator[datetime]:
        ends: Mark = (self.clock.now, None, "")
        for (begin, schedule, zone), (end, _, _) in pairwise([*self.marks[name], ends]):
            if schedule is None:
                continue
            for slot in CronSim(schedule, begin.astimezone(ZoneInfo(zone))):
                if slot > end:
                    break
                if slot > begin:
                    yield slot.astimezone(ZoneInfo("UTC"))


@pytest.fixture(params=range(YEARS))
def year(request, add, crons, deploy, clock):
    return Year(request.param, add, crons, deploy, clock)


def test_a_year_is_accounted_for_and_a_hole_in_it_is_named(year):
    found = audit()
    slots = {name: list(year.promised(name)) for name in NAMES}
    counted = {cron.cron: cron.totals.expected + cron.totals.pending for cron in found.crons}
    assert counted == {name: len(slots[name]) for name in NAMES}
    assert found.totals.unaccounted == 0
    # No worker took a job, and nothing else is wrong.
    kinds = {finding.kind.value for cron in found.crons for finding in cron.findings}
    assert kinds == {"no_outcome"}
    reasons = set(CronEvent.objects.decisions().values_list("reason", flat=True))
    assert len(reasons) >= 4, "too quiet a year to prove anything"

    gone = year.random.choice(list(CronEvent.objects.decisions()))
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rqcron_event WHERE id = %s", [gone.id])
    backend_of(connection).set_append_only(connection, True)
    first = gone.to_event().parsed_time("first") or gone.scheduled_for
    hole = [slot for slot in slots[gone.cron] if first <= slot <= gone.scheduled_for]
    after = audit()
    assert {cron.cron: cron.unaccounted for cron in after.crons if cron.unaccounted} == {
        gone.cron: tuple(hole)
    }
