"""``cron_worker`` alone, while its Redis is away: the runner inside it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rqcron_events.models import CronEvent
from tests.chaos.stage import RedisServer
from tests.processes import Process, Project

STOP_SECONDS_MAX = 60


@pytest.fixture
def own_redis(project: Project, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop; its data survive."""
    server = RedisServer(tmp_path)
    project.environment["REDIS_URL"] = server.url
    yield server
    server.thaw()
    server.stop()


def runner_of(worker: Process) -> psutil.Process:
    return worker.child("cron_run")


def decided(count: int):
    """A condition: so many more slots of a one-second cron are decided."""
    fired = CronEvent.objects.for_cron("quick").of_type("slot_fired")
    known = fired.count()
    return lambda: fired.count() >= known + count


def test_the_runner_outlives_a_worker_that_loses_redis_while_a_job_runs(
    project: Project, own_redis: RedisServer
):
    own = ("--name", "the-only-one", "--worker-class", "tests.crons_app.workers.Watchful")
    worker = project.start("cron_worker", "low", *own)
    slow = CronEvent.objects.for_cron("slow")
    project.wait_until(slow.of_type("run_started").exists)
    runner = runner_of(worker)
    first = slow.of_type("run_started").first().run_id
    own_redis.stop()
    project.wait_until(decided(7))  # the job ends meanwhile
    assert CronEvent.objects.for_run(first).outcomes().get().type == "run_succeeded"
    own_redis.start()
    project.wait_until(slow.of_type("run_started").exclude(run_id=first).exists)
    assert runner_of(worker) == runner
    assert worker.stop(STOP_SECONDS_MAX) == 0
    assert CronEvent.objects.of_type("runner_started").count() == 1
    assert worker.output.count("The worker waits for Redis") == 1


def test_a_worker_that_starts_while_redis_is_away_has_a_runner_that_decides(
    project: Project, own_redis: RedisServer
):
    own_redis.stop()
    worker = project.start("cron_worker", "default")
    project.wait_until(decided(3))
    own_redis.start()
    project.wait_until(CronEvent.objects.for_cron("quick").of_type("run_succeeded").exists)
    assert worker.stop(STOP_SECONDS_MAX) == 0


def test_a_worker_that_waits_for_redis_ends_when_it_is_asked_to(
    project: Project, own_redis: RedisServer
):
    own_redis.stop()
    worker = project.start("cron_worker", "default")
    project.wait_until(decided(1))
    project.wait_until(lambda: "The worker waits for Redis" in worker.output)
    assert worker.stop(STOP_SECONDS_MAX) == 0
    assert CronEvent.objects.of_type("runner_stopped").exists()
    assert worker.members() == []


def test_a_worker_that_loses_redis_finishes_its_job_when_it_is_asked_to_end(
    project: Project, own_redis: RedisServer
):
    worker = project.start("cron_worker", "low")
    slow = CronEvent.objects.for_cron("slow")
    project.wait_until(slow.of_type("run_started").exists)
    own_redis.stop()
    assert worker.stop(STOP_SECONDS_MAX) == 0
    run_id = slow.of_type("run_started").first().run_id
    assert CronEvent.objects.for_run(run_id).outcomes().get().type == "run_succeeded"


@pytest.mark.parametrize("arguments", [("high",), ("high", "--with-scheduler")], ids=str)
def test_an_idle_worker_ends_although_redis_is_frozen(
    project: Project, own_redis: RedisServer, arguments
):
    worker = project.start("cron_worker", *arguments)
    project.wait_until(decided(1))
    project.wait_until(lambda: "Listening on high" in worker.output)
    if "--with-scheduler" in arguments:
        project.wait_until(lambda: "Scheduler for high started" in worker.output)
    own_redis.freeze()
    assert worker.stop(STOP_SECONDS_MAX) == 0
    assert worker.members() == []


def test_a_worker_ends_wherever_it_is_when_it_is_asked_to(project: Project):
    own = ("--worker-class", "tests.crons_app.workers.AskedToEndWhileItLogs")
    worker = project.start("cron_worker", "high", *own)  # where no job comes
    assert worker.wait(STOP_SECONDS_MAX) == 0
    assert worker.members() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(("nowhere",), "Queue 'nowhere' is not in RQ_QUEUES", id="queue"),
        pytest.param(("default", "--worker-class", "no.Where"), "no.Where", id="class"),
        pytest.param(("cached",), "connection 'gone' doesn't exist", id="cache"),
        pytest.param(("default", "--name", "taken"), "active worker named 'taken'", id="name"),
    ],
)
def test_a_worker_that_cannot_work_for_another_reason_says_it_and_ends(
    project: Project, redis_connection, arguments, told
):
    redis_connection.hset("rq:worker:taken", "birth", str(time.time()))
    done = project.run("cron_worker", *arguments, TEST_USE_REDIS_CACHE="gone")
    assert done.returncode == 1
    assert done.stderr.count("CommandError: ") == 1
    assert told in done.stderr
