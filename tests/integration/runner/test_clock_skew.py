"""A runner measures its clock against the database's before it decides by it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events import clock as machine
from rqcron_events.errors import ClockSkewed
from rqcron_events.leadership import clock_skew
from rqcron_events.leadership.clock_skew import MEASURE_SECONDS, ClockSkew, skew_seconds
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronLease
from rqcron_events.queries.explain import explain
from rqcron_events.queries.health import health
from rqcron_events.runner.once import once
from tests.integration.conftest import MINUTE


class Database:
    """The database's clock, as far as anybody asks for it."""

    def __init__(self, tell) -> None:
        self.behind_seconds = 0.0
        self.asked = 0
        self._tell = tell

    def __call__(self, db) -> float:
        self.asked += 1
        return self._tell(db) - self.behind_seconds


@pytest.fixture
def database(db, monkeypatch) -> Database:
    backend = backend_of(store.connection())
    found = Database(backend.clock_seconds)
    monkeypatch.setattr(backend, "clock_seconds", found)
    monkeypatch.setattr(clock_skew, "MEASURE_SECONDS", 0.0)
    return found


def types_of_runner() -> list[str]:
    rows = CronEvent.objects.filter(stream__startswith="runner/").order_by("id")
    return list(rows.values_list("type", flat=True))


def test_what_the_round_trip_can_explain_is_no_skew(monkeypatch):
    answers = iter([100.0, 104.0])
    monkeypatch.setattr(machine, "monotonic_seconds", lambda: next(answers))
    monkeypatch.setattr(machine, "machine_seconds", lambda: 1_000.0)
    assert skew_seconds(lambda: 996.5) == 0.0
    answers = iter([100.0, 104.0])
    assert skew_seconds(lambda: 900.0) == pytest.approx(96.0, abs=0.01)
    answers = iter([100.0, 100.0])
    assert skew_seconds(lambda: 1_060.0) == pytest.approx(-60.0, abs=0.01)


def test_the_clocks_of_one_machine_agree(db):
    skew = ClockSkew()
    assert skew.is_bounded()
    assert abs(skew.seconds) < 1


def test_it_is_measured_now_and_then_and_whenever_the_clock_was_set(database, monkeypatch):
    monkeypatch.setattr(clock_skew, "MEASURE_SECONDS", MEASURE_SECONDS)
    skew = ClockSkew()
    assert [skew.is_bounded() for _ in range(3)] == [True] * 3
    assert database.asked == 1
    real = machine.machine_seconds
    monkeypatch.setattr(machine, "machine_seconds", lambda: real() + 86_400)
    assert not skew.is_bounded()
    assert skew.seconds == pytest.approx(86_400, abs=1)
    assert database.asked == 2


@pytest.mark.parametrize("behind", [100, -100])
def test_a_runner_whose_clock_is_wrong_decides_nothing_until_it_is_right(
    deploy, add, clock, database, behind
):
    add("report", schedule="* * * * *")
    runner = deploy()
    database.behind_seconds = behind
    clock.advance(MINUTE)
    runner.tick()
    assert not runner.leading
    assert CronLease.objects.get(name="leader").holder == ""  # a standby need not wait
    assert not CronEvent.objects.of_type("slot_fired").exists()
    event = CronEvent.objects.get(type="clock_skewed")
    assert event.data["database_skew_seconds"] == pytest.approx(behind, abs=1)
    assert event.data["skew_seconds_max"] == 10
    database_now = clock.now - timedelta(seconds=behind)
    assert abs(event.occurred_at - database_now) < timedelta(seconds=1)
    runner.tick()
    assert types_of_runner() == ["runner_started", "clock_skewed"]

    problems = health().problems
    assert any("The clock of runner" in problem for problem in problems)
    database.behind_seconds = 0
    clock.advance(timedelta(seconds=200))  # so that the time in between is the future of both
    runner.tick()
    assert types_of_runner() == ["runner_started", "clock_skewed", "clock_agrees"]
    fired = CronEvent.objects.get(type="slot_fired")
    assert fired.data["held_up"]["cause"] == "clock_skewed"
    assert "differed too much from the database's" in explain("report", fired.scheduled_for).summary
    assert health().problems == []


def test_a_runner_that_starts_with_a_wrong_clock_registers_nothing(deploy, add, database):
    add("report", schedule="* * * * *")
    database.behind_seconds = 100
    runner = deploy()
    assert types_of_runner() == ["clock_skewed", "runner_started"]
    assert not CronEvent.objects.of_type("cron_registered").exists()
    database.behind_seconds = 0
    runner.tick()
    assert CronEvent.objects.of_type("cron_registered").exists()


def test_a_skewed_runner_that_dies_is_recorded_as_lost(deploy, add, database):
    add("report", schedule="* * * * *")
    first = deploy()
    database.behind_seconds = 100
    first.tick()
    database.behind_seconds = 0
    second = deploy()
    CronLease.objects.create(
        name=first.id, holder=first.id, renewed_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    second.presence.record_lost_runners()
    lost = CronEvent.objects.get(type="runner_lost")
    assert lost.stream == f"runner/{first.id}"


def test_a_small_difference_is_said_once(deploy, add, clock, database, caplog):
    add("report", schedule="* * * * *")
    runner = deploy()
    database.behind_seconds = 5
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.advance(MINUTE)
            runner.tick()
    said = [row for row in caplog.records if getattr(row, "action", "") == "clock_skewed"]
    assert len(said) == 1
    assert "5.0 s ahead of the database's" in said[0].getMessage()
    assert CronEvent.objects.of_type("slot_fired").count() == 3


def test_the_bound_is_a_setting(deploy, add, clock, database, settings):
    settings.RQCRON_CLOCK_SKEW_SECONDS_MAX = 200
    add("report", schedule="* * * * *")
    runner = deploy()
    database.behind_seconds = 100
    clock.advance(MINUTE)
    runner.tick()
    assert runner.leading


def test_once_does_not_decide_by_a_wrong_clock(add, database):
    add("report", schedule="* * * * *")
    database.behind_seconds = -100
    with pytest.raises(ClockSkewed, match=r"100\.0 s behind the database's"):
        once()
    assert not CronEvent.objects.exists()
