"""What runs leave in Redis goes by itself: the ledger keeps what matters."""

from __future__ import annotations

from uuid import UUID

import pytest
from redis import Redis

from rqcron_events.execution.enqueuer import job_id
from rqcron_events.execution.job_data import FAILURE_TTL_SECONDS
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.processes import Project

RESULT_TTL_SECONDS = 500
"""RQ's own, for what succeeded."""
HOUR_SECONDS = 3_600


@pytest.fixture(scope="module")
def kinds() -> dict[str, int]:
    """A cron for each way in which a run ends, and how long what it leaves is kept at most."""
    return {
        "quick": RESULT_TTL_SECONDS,
        "declines": RESULT_TTL_SECONDS,
        "returns_retry": FAILURE_TTL_SECONDS,  # what its first attempt left
        "raises": FAILURE_TTL_SECONDS,
        "raises_and_retries": FAILURE_TTL_SECONDS,
        "killed": FAILURE_TTL_SECONDS,
        "too_slow": FAILURE_TTL_SECONDS,
    }


def left(redis_connection: Redis, run_id: UUID) -> dict[str, tuple[int, int]]:
    """Each key of the run's job: the seconds that it stays (-1: for ever), and its bytes."""
    return {
        key.decode(): (redis_connection.ttl(key), redis_connection.memory_usage(key))
        for key in redis_connection.scan_iter(f"*{job_id(run_id)}*")
    }


def test_no_key_of_a_run_that_ended_stays_for_ever(
    project: Project, redis_connection: Redis, kinds
):
    assert project.run("cron_run", "--once").returncode == 0
    runs = {name: controls.trigger(name) for name in kinds}
    assert project.run("rqworker", "default", "--burst").returncode == 0
    assert CronEvent.objects.outcomes().filter(run_id__in=runs.values()).count() == len(kinds) - 1
    for name, most in kinds.items():
        found = left(redis_connection, runs[name])
        print(name, found)  # shown with -s, and when it fails
        assert found, name
        assert {key for key, (ttl, _) in found.items() if not 0 < ttl <= most} == set(), name
        assert sum(size for _, size in found.values()) < 15_000, name
