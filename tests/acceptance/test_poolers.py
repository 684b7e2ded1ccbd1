"""Behind a pool or a pooler: runner, worker, list and replay, as real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rqcron_events.models import CronEvent
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


def test_pgbouncer_may_pool_transactions(pgbouncer, project: Project):
    runs_and_is_shown(project)


def test_the_check_names_a_pooler_that_breaks_server_side_cursors(pgbouncer, project: Project):
    project.environment["DATABASE_URL"] = project.environment["DATABASE_URL"].partition("?")[0]
    told = project.run("check", "--database", "default")
    assert "rqcron_events.W006" in told.stderr
    assert "DISABLE_SERVER_SIDE_CURSORS" in told.stderr
