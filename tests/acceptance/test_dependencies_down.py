"""Redis and the database refuse or vanish for a while: said once, waited out, caught up."""

from __future__ import annotations

import os
import time
from datetime import datetime

import pytest
from django.db import connection
from redis import Redis

from rqcron_events.models import CronEvent
from tests.processes import Project


def _refuse_for_memory(redis_connection: Redis) -> None:
    redis_connection.config_set("maxmemory", "1")


def _accept_again(redis_connection: Redis) -> None:
    redis_connection.config_set("maxmemory", "0")


def _turn_into_replica(redis_connection: Redis) -> None:
    redis_connection.execute_command("REPLICAOF", "127.0.0.1", "1")


def _turn_into_primary(redis_connection: Redis) -> None:
    redis_connection.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    ("refuse", "accept"),
    [
        pytest.param(_refuse_for_memory, _accept_again, id="out of memory"),
        pytest.param(_turn_into_replica, _turn_into_primary, id="read-only"),
    ],
)
def test_a_redis_that_takes_no_writes_is_waited_out(
    project: Project, redis_connection: Redis, refuse, accept
):
    runner = project.start("cron_run", TEST_APPS="tests.many_app")
    events = CronEvent.objects
    project.wait_until(events.of_type("run_enqueued").exists)
    refuse(redis_connection)
    try:
        project.wait_until(events.of_type("enqueue_failed").exists)
        fired = events.of_type("slot_fired").count()
        project.wait_until(lambda: events.of_type("slot_fired").count() >= fired + 30)
        failed = events.of_type("enqueue_failed").count()
    finally:
        accept(redis_connection)
    waiting = set(events.of_type("slot_fired").values_list("run_id", flat=True)) - set(
        events.of_type("run_enqueued").values_list("run_id", flat=True)
    )
    assert len(waiting) >= 20
    enqueued = events.of_type("run_enqueued")
    project.wait_until(lambda: enqueued.filter(run_id__in=waiting).count() == len(waiting))
    assert events.of_type("enqueue_failed").count() == failed <= 10  # once, for one batch
    assert runner.output.count("Redis cannot be used") == 1
    assert runner.output.count("Redis is back") == 1


if os.environ["DATABASE_URL"].startswith("postgresql"):  # SQLite refuses nobody

    def test_a_database_that_refuses_connections_is_waited_out(project: Project):
        runner = project.start("cron_run", TEST_APPS="tests.many_app")
        fired = CronEvent.objects.of_type("slot_fired")
        project.wait_until(fired.exists)
        name = connection.settings_dict["NAME"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            own_pid = cursor.fetchone()[0]
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
            try:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = %s AND pid <> %s",
                    [name, own_pid],
                )
                project.wait_until(lambda: "does not answer" in runner.output)
                time.sleep(3)  # a real outage
            finally:
                cursor.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        project.wait_until(lambda: "The database is back" in runner.output)
        assert runner.output.count("does not answer") == 1
        assert runner.poll() is None
        count = fired.count()
        project.wait_until(lambda: fired.count() > count + 20)
        for number in range(10):
            slots = CronEvent.objects.for_cron(f"every-second-{number}").decisions()
            covered = sum(event.data.get("count", 1) for event in slots)
            last, first = slots.last().scheduled_for, slots.first()
            start = first.data.get("first") or first.scheduled_for.isoformat()
            assert covered == (last - datetime.fromisoformat(start)).total_seconds() + 1


def test_a_warm_shutdown_ends_the_runner_at_once_and_lets_the_job_finish(project: Project):
    worker = project.start("cron_worker", "low")
    slow = CronEvent.objects.for_cron("slow")
    project.wait_until(slow.of_type("run_started").exists)
    worker.terminate()
    assert worker.wait(60) == 0
    run_id = slow.of_type("run_started").first().run_id
    outcome = CronEvent.objects.for_run(run_id).outcomes().get()
    assert outcome.type == "run_succeeded"
    # The runner did not wait for the job's five seconds.
    assert CronEvent.objects.get(type="runner_stopped").occurred_at < outcome.occurred_at
