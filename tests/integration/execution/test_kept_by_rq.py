"""How long RQ keeps what a run left: a default that fits crons, the project's own, and the cron's own."""

from __future__ import annotations

from datetime import timedelta

from redis import Redis

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.execution.enqueuer import job_id
from rqcron_events.execution.job_data import FAILURE_TTL_SECONDS

MINUTE = timedelta(minutes=1)


def failure_ttl(redis_connection: Redis, cron: str, clock) -> int:
    name = job_id(run_id_for_slot(cron, clock.now.replace(second=0)))
    return int(redis_connection.hget(f"rq:job:{name}", "failure_ttl"))


def test_a_failure_is_kept_for_days_unless_the_cron_or_the_project_says_otherwise(
    deploy, add, clock, settings, redis_connection
):
    add("plain", schedule="* * * * *")
    settings.RQCRON_DEFAULTS = {"failure_ttl": 3_600}
    add("of_the_project", schedule="* * * * *")
    add("its_own", schedule="* * * * *", failure_ttl=timedelta(days=30))
    add("for_ever", schedule="* * * * *", failure_ttl=-1)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    kept = {name: failure_ttl(redis_connection, name, clock) for name in runner.states.crons}
    assert kept == {
        "plain": FAILURE_TTL_SECONDS,
        "of_the_project": 3_600,
        "its_own": 30 * 86_400,
        "for_ever": -1,
    }
