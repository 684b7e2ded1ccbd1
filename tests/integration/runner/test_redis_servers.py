"""Several Redis servers: each on its own, with its own state."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from rq import Queue

from rqcron_events.checks import check_redis
from rqcron_events.execution.spool import REFUSED_KEY
from rqcron_events.models import CronEvent
from rqcron_events.queries.health import health
from rqcron_events.runner import reconciler
from rqcron_events.runner.rq_threads import RqThreads

MINUTE = timedelta(minutes=1)
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def two(settings, add):
    """A cron in each of two servers, of which one is gone."""
    url = settings.RQ_QUEUES["low"]["URL"]
    settings.RQ_QUEUES["low"]["URL"] = NOWHERE
    add("here", schedule="* * * * *")
    add("there", schedule="* * * * *", queue="low")
    yield
    settings.RQ_QUEUES["low"]["URL"] = url


@pytest.fixture
def told(caplog):
    """What the log says of Redis, in order."""
    return lambda: [
        record.action
        for record in caplog.records
        if getattr(record, "action", "") in ("redis_away", "redis_back")
    ]


def reconcile(runner, clock) -> None:
    clock.advance(timedelta(seconds=10))
    runner.states.follow()
    runner._reconciled_at = float("-inf")
    runner.reconcile_all()


def test_a_pass_of_many_steps_tells_once_of_a_server_that_is_gone(
    two, deploy, clock, told, monkeypatch
):
    monkeypatch.setattr(reconciler, "RUNS_PER_STEP_MAX", 1)
    runner = deploy()
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
        reconcile(runner, clock)
    assert told() == ["redis_away"]


def test_a_server_in_which_no_run_is_open_is_told_of_as_well(two, add, deploy, clock, caplog):
    add("there", schedule="@yearly", queue="low")
    runner = deploy()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
        reconcile(runner, clock)
    (said,) = [r for r in caplog.records if getattr(r, "action", "") == "redis_away"]
    assert said.redis == "127.0.0.1:1/0"
    assert "127.0.0.1:1/0" in said.getMessage()


def test_a_redis_that_is_full_is_told_of_once_although_it_can_be_read(
    add, deploy, clock, told, redis_connection
):
    add("report", schedule="* * * * *")
    runner = deploy()
    redis_connection.config_set("maxmemory", "1")
    try:
        for _ in range(3):
            clock.advance(MINUTE)
            runner.tick()
            runner._reconciled_at = float("-inf")
            runner.reconcile_all()  # at once: the new run is not looked at yet
            reconcile(runner, clock)
        assert told() == ["redis_away"]
        assert CronEvent.objects.of_type("enqueue_failed").count() == 1
    finally:
        redis_connection.config_set("maxmemory", "0")
    reconcile(runner, clock)
    assert told() == ["redis_away", "redis_back"]
    assert Queue("default", connection=redis_connection).count == 3


@pytest.mark.parametrize(
    ("cache", "why"),
    [("gone", "InvalidCacheBackendError"), ("default", "AttributeError")],  # no cache, or no Redis
)
def test_a_queue_whose_settings_give_no_redis_stops_no_cron_and_is_named(
    add, deploy, clock, redis_connection, settings, monkeypatch, cache, why
):
    monkeypatch.setitem(settings.RQ_QUEUES, "reports", {"USE_REDIS_CACHE": cache})
    add("here", schedule="* * * * *")
    add("there", schedule="* * * * *", queue="reports")
    runner = deploy()
    RqThreads(runner.rq, runner.actor, runner.way)
    clock.advance(MINUTE)
    runner.tick()
    reconcile(runner, clock)
    assert Queue("default", connection=redis_connection).count == 1
    assert CronEvent.objects.for_cron("there").of_type("enqueue_failed").count() == 1
    said = f"Queue 'reports' of RQ_QUEUES gives no address ({why})"
    assert any(said in text for text in health().problems)
    assert check_redis() == []


def test_health_names_the_server_that_is_gone_and_looks_at_the_others(
    two, deploy, redis_connection
):
    deploy()
    redis_connection.lpush(REFUSED_KEY, "an entry")
    found = health()
    (gone,) = [text for text in found.problems if "Redis does not answer" in text]
    assert "127.0.0.1:1/0" in gone
    assert [text for text in found.problems if "entries of the spool" in text]
    assert found.spool_length is None


def test_cron_reconcile_repairs_in_one_server_and_names_the_other(
    two, deploy, clock, redis_connection
):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    redis_connection.flushdb()
    clock.advance(timedelta(seconds=10))
    out = StringIO()
    with pytest.raises(CommandError, match=r"Redis does not answer \(127\.0\.0\.1:1/0: "):
        call_command("cron_reconcile", "--format", "csv", stdout=out)
    assert out.getvalue().count("enqueue") == 1
    assert Queue("default", connection=redis_connection).count == 1
