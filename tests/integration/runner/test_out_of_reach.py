"""Runs of which RQ's record is out of reach, or cannot be read: closed where that can be, and told."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from rqcron_events.execution.enqueuer import job_id
from rqcron_events.ledger import store
from rqcron_events.ledger.run_streams import read_run
from rqcron_events.models import CronEvent
from rqcron_events.queries.health import health
from tests.integration.runner.test_reconciler import started

MINUTE = timedelta(minutes=1)


@pytest.fixture
def queues(settings):
    """RQ_QUEUES, to be changed; django-rq reads the same dict."""
    before = {name: dict(values) for name, values in settings.RQ_QUEUES.items()}
    yield settings.RQ_QUEUES
    settings.RQ_QUEUES.clear()
    settings.RQ_QUEUES.update(before)


@pytest.fixture
def reconcile(clock):
    def reconcile(runner) -> None:
        clock.advance(timedelta(seconds=10))
        runner.states.follow()
        runner.reconcile_all()

    return reconcile


@pytest.fixture
def run_id(deploy, add, clock, queues) -> UUID:
    """Of a run that is in RQ, in a queue that then leaves RQ_QUEUES."""
    add("moved", schedule="* * * * *", queue="high", timeout=30)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    del queues["high"]
    (found,) = runner.states.crons["moved"].open_runs
    return found


def types(run: UUID) -> list[str]:
    rows = CronEvent.objects.filter(stream=f"run/{run}").order_by("version")
    return list(rows.values_list("type", flat=True))


def problems() -> list[str]:
    return [text for text in health().problems if "out of reach" in text]


def test_a_run_in_a_queue_that_is_gone_is_closed_by_its_record_in_the_same_redis(
    deploy, run_id, clock, reconcile, redis_connection
):
    ended = f"{clock.now + MINUTE:%Y-%m-%dT%H:%M:%S.%fZ}"
    redis_connection.hset(
        f"rq:job:{job_id(run_id)}", mapping={"status": "finished", "ended_at": ended}
    )
    store.append([started(read_run(run_id), clock.now)])
    runner = deploy()
    assert len(problems()) == 1
    clock.advance(2 * MINUTE)
    reconcile(runner)
    assert types(run_id) == ["run_enqueued", "run_started", "run_succeeded"]
    assert problems() == []


def test_one_that_died_there_is_lost_after_its_timeout(
    deploy, run_id, clock, reconcile, redis_connection
):
    redis_connection.hset(f"rq:job:{job_id(run_id)}", "status", "started")
    store.append([started(read_run(run_id), clock.now)])
    runner = deploy()
    clock.advance(2 * MINUTE)
    reconcile(runner)
    assert types(run_id) == ["run_enqueued", "run_started", "run_lost"]


def test_one_of_which_nobody_knows_is_left_alone_and_named(
    deploy, run_id, clock, reconcile, redis_connection, caplog
):
    """Its record may be in a Redis that no queue names any more, and so may what its worker left."""
    redis_connection.flushdb()
    store.append([started(read_run(run_id), clock.now)])
    runner = deploy()
    clock.advance(10 * MINUTE)
    reconcile(runner)
    reconcile(runner)
    assert types(run_id) == ["run_enqueued", "run_started"]
    assert problems() == [
        f"RQ's record of 1 open run in queue 'high', {run_id} of cron 'moved', may be out of reach: "
        "Queue 'high' is not in RQ_QUEUES. Add it there, or give the cron one of: default, low. "
        "Leave the queue there until its runs have ended."
    ]
    said = [item for item in caplog.records if getattr(item, "action", "") == "job_out_of_reach"]
    assert len(said) == 1


def test_a_record_that_cannot_be_read_is_named_by_health_until_it_can(
    deploy, add, clock, reconcile, redis_connection
):
    add("good", schedule="* * * * *")
    add("bad", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    (run,) = runner.states.crons["bad"].open_runs
    key = f"rq:job:{job_id(run)}"
    redis_connection.hset(key, "ended_at", "yester\nday")
    reconcile(runner)
    (told,) = [text for text in health().problems if "cannot be read" in text]
    assert told.startswith(f"RQ's record of job cron-{run} of cron bad cannot be read: ValueError")
    assert told.endswith("Its run is left alone; delete or repair the job's keys in Redis.")
    assert "\n" not in told
    redis_connection.hdel(key, "ended_at")
    reconcile(runner)
    assert not [text for text in health().problems if "cannot be read" in text]


@pytest.mark.parametrize("kind", ["a list", "a gigabyte", "no text"])
def test_what_somebody_puts_in_the_place_of_that_note_hides_nothing(
    deploy, add, redis_connection, kind
):
    from rqcron_events.execution.unreadable_jobs import KEY

    add("good", schedule="* * * * *")
    deploy()
    if kind == "a list":
        redis_connection.rpush(KEY, "x")
    elif kind == "a gigabyte":
        redis_connection.setrange(KEY, 100_000_000, "x")
    else:
        redis_connection.set(KEY, b"\xff\xfe")
    before = redis_connection.info("stats")["total_net_output_bytes"]
    found = health()
    assert not [text for text in found.problems if "Redis does not answer" in text]
    assert redis_connection.info("stats")["total_net_output_bytes"] - before < 100_000
