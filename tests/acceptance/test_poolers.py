"""Behind a pool or a pooler: runner, worker, list and replay, as real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from redis import Redis
from rq.command import send_stop_job_command

from rqcron_events.execution.enqueuer import job_id
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.pgbouncer import pooler
from tests.processes import Project


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which needs neither."""


@pytest.fixture
def pool_of_one(postgresql, project: Project) -> None:
    url = project.environment["DATABASE_URL"]
    project.environment["DATABASE_URL"] = f"{url}{'&' if '?' in url else '?'}pool=1"


@pytest.fixture
def pgbouncer(postgresql, project: Project) -> Iterator[None]:
    """PgBouncer that pools transactions, with fewer connections than there are clients."""
    with pooler() as url:
        project.environment["DATABASE_URL"] = f"{url}?pooler=1"
        yield


def runs_and_is_shown(project: Project) -> None:
    """The whole flow: decided, run, followed by the projections, listed, replayed, audited,
    checked."""
    worker = project.start("cron_worker", "default", "low", "high")
    succeeded = CronEvent.objects.of_type("run_succeeded").for_cron("quick")
    project.wait_until(lambda: succeeded.count() >= 1)

    def listed() -> bool:
        told = project.run("cron_list", "--format", "json")
        assert told.returncode == 0, told.stderr
        return any(
            row["name"] == "quick" and "succeeded" in json.dumps(row)
            for row in json.loads(told.stdout)
        )

    project.wait_until(listed)
    for command in (
        ("cron_replay",),
        ("cron_replay", "--check"),
        ("check", "--database", "default"),
    ):
        told = project.run(*command)
        assert told.returncode == 0, f"{command}\n{told.stdout}\n{told.stderr}"
        assert "W00" not in told.stderr, told.stderr
    assert worker.stop() == 0
    for word in ("follower_failed", "Follower", "does not answer", "A tick failed"):
        assert word not in worker.output, worker.output


def test_a_pool_of_one_connection_is_enough(pool_of_one, project: Project):
    runs_and_is_shown(project)


@pytest.fixture
def sessions(pool_of_one, project: Project) -> None:
    """Crons that tell which session they have."""
    project.environment["TEST_APPS"] = "tests.sessions_app"
    assert project.run("cron_run", "--once").returncode == 0


def results(*names: str) -> list[str]:
    """What the newest run of each of these crons returned, where it has succeeded."""
    found = (
        CronEvent.objects.for_cron(name).of_type("run_succeeded").order_by("-id").first()
        for name in names
    )
    return [event.to_event().data["result"] for event in found if event is not None]


def test_work_horses_share_no_session_after_a_worker_has_decided_what_is_due(
    sessions, project: Project
):
    for name in ("first", "second"):
        controls.trigger(name)
    done = project.run("cron_worker", "--burst", "default")
    assert done.returncode == 0, done.stderr
    assert len(set(results("first", "second"))) == 2


@pytest.mark.parametrize("command", ["cron_worker", "rqworker"])
def test_work_horses_share_no_session_after_a_worker_has_recorded_a_stopped_run(
    sessions, project: Project, redis_connection: Redis, command
):
    """RQ calls on_stopped in the worker's own process, from which the work-horses are forked."""
    worker = project.start(command, "default")
    waits = CronEvent.objects.for_cron("waits")
    run_id = controls.trigger("waits")
    project.wait_until(waits.of_type("run_started").exists)
    send_stop_job_command(redis_connection, job_id(run_id))
    project.wait_until(waits.of_type("run_stopped").exists)
    for name in ("first", "second"):
        controls.trigger(name)
    project.wait_until(lambda: len(results("first", "second")) == 2)
    assert len(set(results("first", "second"))) == 2
    assert worker.stop() == 0


def test_a_transaction_that_a_function_leaves_open_costs_no_connection_of_the_pool(
    sessions, project: Project
):
    controls.trigger("leaves_a_transaction_open")
    done = project.run("rqworker", "--burst", "default")  # its first work-horse has no writer
    assert done.returncode == 0, done.stderr
    assert results("leaves_a_transaction_open")
    assert "waits in Redis" not in done.stderr


def test_pgbouncer_may_pool_transactions(pgbouncer, project: Project):
    runs_and_is_shown(project)


def test_the_check_names_a_pooler_that_breaks_server_side_cursors(pgbouncer, project: Project):
    project.environment["DATABASE_URL"] = project.environment["DATABASE_URL"].partition("?")[0]
    told = project.run("check", "--database", "default")
    assert "rqcron_events.W006" in told.stderr
    assert "DISABLE_SERVER_SIDE_CURSORS" in told.stderr
