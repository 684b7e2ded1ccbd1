"""``cron_run --once``, called now and then, is a deployment like others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from rqcron_events import explain
from rqcron_events.management.commands import cron_run
from rqcron_events.queries.health import health
from rqcron_events.runner.once import once
from tests.chaos.stage import RedisServer

MINUTE = timedelta(minutes=1)


@pytest.fixture
def own_redis(settings, tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    queues = copy.deepcopy(settings.RQ_QUEUES)
    for queue in queues.values():
        queue["URL"] = server.url
    settings.RQ_QUEUES = queues
    yield server
    server.stop()


def test_after_an_outage_redis_is_not_said_to_be_away(
    db, own_redis, add, clock, capsys, monkeypatch
):
    monkeypatch.setattr(cron_run, "log_to_stderr", lambda _: None)  # of the whole process
    add("report", schedule="* * * * *")
    once()
    own_redis.stop()
    clock.advance(MINUTE)
    with pytest.raises(CommandError, match="does not answer"):
        call_command("cron_run", "--once")
    own_redis.start()
    capsys.readouterr()
    for seconds, told in (
        (1, "0 runs decided.\n1 run decided before may be"),
        (60, "1 run decided."),
    ):
        clock.advance(timedelta(seconds=seconds))
        call_command("cron_run", "--once")
        assert capsys.readouterr().out.startswith(told)


def test_the_time_between_two_calls_is_no_downtime(db, served, add, clock):
    add("report", schedule="*/10 * * * *")
    for _ in range(3):
        once()
        clock.advance(5 * MINUTE)
    told = explain("report", clock.now.replace(minute=10, second=0))
    assert "on time" not in told.summary
    assert "cron_run --once was not called from 2026-03-02 09:05:30 UTC" in told.summary
    assert (told.verdict, told.to_data()["downtime"]) == ("fired", None)
    clock.advance(5 * MINUTE)
    waiting = explain("report", clock.now.replace(minute=20, second=0))
    assert "Its next call decides it." in waiting.summary
    assert waiting.to_data()["downtime"] is None


def test_a_runner_that_dies_is_missed_although_somebody_called_it_before(db, deploy, add, clock):
    add("report", schedule="* * * * *")
    once()
    clock.advance(MINUTE)
    runner = deploy()
    runner.lease.release()
    (problem,) = health().problems
    assert problem.startswith("No runner leads")
