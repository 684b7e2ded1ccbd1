"""Redis and the database refuse or vanish for a while: said once, waited out, caught up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from django.db import connection
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from rqcron_events.models import CronEvent
from tests.chaos.stage import RedisServer
from tests.pgbouncer import PgBouncer
from tests.processes import Project

FROZEN_SLOTS = 8
"""Seconds for which Redis is frozen, by the slots of a one-second cron."""
TAKER = "takes every connection"
STOPPED_SECONDS_MAX = 30
"""See docs/deployment.md."""


@pytest.fixture
def slow_to_load(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis whose data takes some five seconds to load."""
    server = RedisServer(
        tmp_path,
        appendonly="no",
        key_load_delay="1000",  # microseconds
        loading_process_events_interval_bytes="1024",
    )
    with server.connect() as connection:
        connection.mset({f"filler:{number}": "x" * 100 for number in range(5_000)})
    yield server
    server.stop()


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


def test_a_redis_that_is_loading_its_data_is_waited_out(
    project: Project, slow_to_load: RedisServer
):
    project.environment["REDIS_URL"] = slow_to_load.url
    runner = project.start("cron_run", TEST_APPS="tests.many_app")
    events = CronEvent.objects
    project.wait_until(events.of_type("run_enqueued").exists)
    with slow_to_load.connect() as client:
        client.save()
        runner.send_signal(signal.SIGSTOP)  # it shall see the loading, not the restart
        slow_to_load.stop()
        slow_to_load.start(wait=False)
        project.wait_until(lambda: _is_loading(client))
    runner.send_signal(signal.SIGCONT)
    project.wait_until(events.of_type("enqueue_failed").exists)
    (failed,) = {event.data["error"]["type"] for event in events.of_type("enqueue_failed")}
    assert failed == "BusyLoadingError"
    project.wait_until(lambda: "Redis is back" in runner.output)
    fired = set(events.of_type("slot_fired").values_list("run_id", flat=True))
    enqueued = events.of_type("run_enqueued")
    project.wait_until(lambda: enqueued.filter(run_id__in=fired).count() == len(fired))
    assert runner.poll() is None


def test_a_redis_that_is_frozen_holds_up_no_decision(project: Project, tmp_path: Path):
    """Stopped with its connections open, as behind a network that drops packets."""
    server = RedisServer(tmp_path, appendonly="no")
    try:
        project.environment["REDIS_URL"] = server.url
        runner = project.start("cron_run", TEST_APPS="tests.many_app")
        events = CronEvent.objects
        fired, enqueued = events.of_type("slot_fired"), events.of_type("run_enqueued")
        project.wait_until(enqueued.exists)
        server.freeze()
        known = set(fired.values_list("run_id", flat=True))
        project.wait_until(lambda: fired.count() >= len(known) + 10 * FROZEN_SLOTS)
        server.thaw()
        late = [event.data["lateness_seconds"] for event in fired.exclude(run_id__in=known)]
        assert not events.of_type("slot_missed").exists(), "no slot gave way to a later one"
        assert sum(seconds > 1 for seconds in late) == 0
        wanted = set(fired.values_list("run_id", flat=True))
        project.wait_until(lambda: enqueued.filter(run_id__in=wanted).count() == len(wanted))
        assert runner.poll() is None
    finally:
        server.stop()


def test_servers_that_are_frozen_hold_up_nothing_in_another_one(
    project: Project, redis_connection: Redis, tmp_path: Path
):
    """Jobs are handed over, and repaired, as if they were not there; each is told of once."""
    server = RedisServer(tmp_path, appendonly="no")
    others = ["low", "b", "c", "d", "e"]  # databases of one process, for us servers of their own
    try:
        project.environment["TEST_QUEUES"] = ",".join(["default", "high", *others])
        for number, name in enumerate(others):
            url = server.url.removesuffix("/0") + f"/{number}"
            project.environment[f"REDIS_URL_{name.upper()}"] = url
        runner = project.start("cron_run")
        quick = CronEvent.objects.for_cron("quick")
        enqueued, fired = quick.of_type("run_enqueued"), quick.of_type("slot_fired")
        project.wait_until(enqueued.exists)
        project.wait_until(CronEvent.objects.for_cron("slow").of_type("run_enqueued").exists)
        server.freeze()
        waiting = [0]  # slots of a second each, that were decided and not handed over

        def is_told_of_all() -> bool:
            waiting.append(fired.count() - enqueued.count())
            return runner.output.count("Redis cannot be used") >= len(others)

        project.wait_until(is_told_of_all)
        redis_connection.flushdb()
        known = fired.count()
        project.wait_until(enqueued.filter(data__found="no job, never started").exists)
        assert max(waiting) < FROZEN_SLOTS
        assert fired.count() - known < 4 * FROZEN_SLOTS
        server.thaw()
        project.wait_until(lambda: runner.output.count("Redis is back") >= len(others))
        assert runner.output.count("Redis cannot be used") == len(others)
        assert runner.output.count("Redis is back") == len(others)
        assert runner.stop() == 0
    finally:
        server.thaw()
        server.stop()


def _is_loading(client: Redis) -> bool:
    try:
        client.ping()
    except BusyLoadingError:
        return True
    except RedisError:  # not listening yet
        return False
    pytest.fail("It has loaded its data already.")


if os.environ["DATABASE_URL"].startswith("sqlite"):

    def test_a_full_disk_is_waited_out(project: Project):
        """By the process's limit on file sizes: SQLite cannot write, as on a full disk. What it prints goes into a
        file, too, and stays below."""
        runner = project.start("cron_run", TEST_APPS="tests.many_app")
        fired = CronEvent.objects.of_type("slot_fired")
        project.wait_until(fired.exists)
        process = psutil.Process(runner.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (65_536, psutil.RLIM_INFINITY))
        project.wait_until(lambda: "does not answer" in runner.output)
        time.sleep(3)  # a real outage
        process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        project.wait_until(lambda: "The database is back" in runner.output)
        assert runner.output.count("does not answer") == 1
        count = fired.count()
        project.wait_until(lambda: fired.count() > count + 20)
        assert runner.poll() is None


if os.environ["DATABASE_URL"].startswith("postgresql"):  # SQLite refuses nobody

    def test_a_database_without_a_free_connection_is_waited_out(project: Project):
        """The runner loses its own connection and finds every place taken."""
        runner = project.start("cron_run", TEST_APPS="tests.many_app")
        fired = CronEvent.objects.of_type("slot_fired")
        project.wait_until(fired.exists)
        with ExitStack() as stack:
            own_pid = connection.connection.info.backend_pid

            def starve() -> bool:
                """Where it was quicker than this, once more."""
                _terminate_others(own_pid, spare=f"application_name = '{TAKER}'")
                _take_every_connection(stack)
                return _others(own_pid, spare=f"application_name = '{TAKER}'") == 0

            project.wait_until(starve)
            told = runner.output.count("The database is back")
            time.sleep(3)  # a real outage
            assert "The database does not answer" in runner.output
        project.wait_until(lambda: runner.output.count("The database is back") > told)
        count = fired.count()
        project.wait_until(lambda: fired.count() > count + 20)
        assert runner.poll() is None

    def _terminate_others(own_pid: int, spare: str = "false") -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = current_database() AND pid <> %s AND NOT ({spare})",
                [own_pid],
            )

    def _others(own_pid: int, spare: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                f"AND pid <> %s AND NOT ({spare})",
                [own_pid],
            )
            return int(cursor.fetchone()[0])

    def _take_every_connection(stack: ExitStack) -> None:
        import psycopg

        settings = connection.get_connection_params()
        places = 1_000
        for _ in range(places):
            try:
                taken = psycopg.connect(
                    **{**settings, "application_name": TAKER, "cursor_factory": psycopg.Cursor}
                )
            except psycopg.OperationalError:
                return
            stack.callback(taken.close)
        pytest.fail(f"The database takes more than {places} connections.")

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
            assert {
                event.data["held_up"]["cause"] for event in slots if "held_up" in event.data
            } == {"database_away"}
            last, first = slots.last().scheduled_for, slots.first()
            start = first.data.get("first") or first.scheduled_for.isoformat()
            assert covered == (last - datetime.fromisoformat(start)).total_seconds() + 1

    @pytest.mark.parametrize(
        "frozen_seconds", [0, 7], ids=["in a statement", "waiting for a new connection"]
    )
    def test_a_runner_whose_database_is_frozen_ends_when_it_is_asked_to(
        project: Project, frozen_seconds: int
    ):
        """Nothing answers, and nothing refuses."""
        between = PgBouncer(connection.settings_dict, "session", 20)
        try:
            between.start()
            runner = project.start("cron_run", DATABASE_URL=f"{between.url}?pooler=1")
            project.wait_until(CronEvent.objects.of_type("slot_fired").exists)
            between.freeze()
            time.sleep(1 + frozen_seconds)
            assert runner.stop(STOPPED_SECONDS_MAX) == 0
            assert "The runner's end is not recorded" in runner.output
        finally:
            between.thaw()
            between.close()

    def test_a_database_that_was_frozen_for_a_while_is_waited_out(project: Project):
        between = PgBouncer(connection.settings_dict, "session", 20)
        try:
            between.start()
            runner = project.start("cron_run", DATABASE_URL=f"{between.url}?pooler=1")
            fired = CronEvent.objects.of_type("slot_fired")
            project.wait_until(fired.exists)
            between.freeze()
            time.sleep(4)
            between.thaw()
            count = fired.count()
            project.wait_until(lambda: fired.count() > count + 2)
            assert runner.stop() == 0
            assert CronEvent.objects.of_type("runner_stopped").exists()
        finally:
            between.close()


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
