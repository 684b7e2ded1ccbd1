"""A failover that loses the last transactions: a runner at work, and its database goes back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from rqcron_events.models import CronEvent
from tests.acceptance.test_poolers import pgbouncer, postgresql  # noqa: F401
from tests.failover import Databases, paused
from tests.failover_app import EXECUTED
from tests.processes import Project

CRONS = ("steady", "slow", "traceless")


@pytest.fixture
def databases(postgresql: None, project: Project) -> Iterator[Databases]:  # noqa: F811
    project.environment["TEST_APPS"] = "tests.failover_app"
    with Databases() as found:
        yield found


def goes_back(
    project: Project, redis: Redis, databases: Databases, swap: Callable[[], None]
) -> str:
    """Returns the worker's output."""

    def executed(cron: str, more: int, before: Counter[str]) -> bool:
        return count()[cron] >= before[cron] + more

    def count() -> Counter[str]:
        return Counter(item.decode().split()[0] for item in redis.lrange(EXECUTED, 0, -1))

    def each_runs(more: int) -> None:
        before = count()
        project.wait_until(lambda: all(executed(cron, more, before) for cron in CRONS))

    worker = project.start("cron_worker", "default")
    project.start("rqworker", "low")
    each_runs(1)
    databases.take_copy()
    each_runs(2)
    swap()
    project.wait_until(CronEvent.objects.filter(type="log_went_back").exists)
    each_runs(1)
    assert worker.stop() == 0
    return worker.output


def held(project: Project, redis: Redis) -> None:
    """What is promised after it."""
    executed = Counter(redis.lrange(EXECUTED, 0, -1))
    assert {run: times for run, times in executed.items() if times > 1} == {}
    assert project.run("cron_reconcile").returncode == 0
    told = project.run("cron_audit", "--format", "json")
    audit = json.loads(told.stdout)
    assert told.returncode == 0, json.dumps(audit, indent=1)
    assert {row["cron"] for row in audit["crons"]} == set(CRONS)
    (loss,) = audit["losses"]
    assert loss["since"] < loss["until"]
    assert CronEvent.objects.filter(type="slot_fired", data__has_key="recovered").exists()
    assert CronEvent.objects.filter(type="slot_missed", reason="decision_lost").exists()
    health = json.loads(project.run("cron_health", "--format", "json").stdout)
    assert any("went back" in text for text in health["problems"]), health


def test_a_runner_whose_database_goes_back_runs_nothing_twice_and_says_what_was_lost(
    databases: Databases, project: Project, redis_connection: Redis
):
    goes_back(project, redis_connection, databases, databases.go_back)
    held(project, redis_connection)


def test_it_notices_behind_a_pooler_that_hides_the_failover(
    databases: Databases,
    pgbouncer: None,  # noqa: F811
    project: Project,
    redis_connection: Redis,
):
    def swap() -> None:
        with paused(project.environment["DATABASE_URL"]):
            databases.go_back()

    output = goes_back(project, redis_connection, databases, swap)
    held(project, redis_connection)
    assert "log_went_back" in output or "went back" in output
