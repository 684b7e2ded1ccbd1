"""What other schedulers did when servers and machines failed them; ``docs/field-reports.md``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now
from django_rq import get_worker
from redis import Redis
from rq import Queue, SimpleWorker
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus

from rqcron_events import audit
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.execution.enqueuer import job_id
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, CronLease
from rqcron_events.testing import assert_fired, assert_not_fired

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def reconcile(runner) -> None:
    runner.states.follow()
    runner.rq.reconciler.begin(runner.states)
    while not runner.rq.reconciler.done:
        runner.rq.reconciler.step(runner.states)
    runner.states.follow()


@pytest.fixture
def evicting(redis_connection: Redis) -> Iterator[Redis]:
    """A Redis that makes room for what is new."""
    used_bytes = redis_connection.info("memory")["used_memory"]
    redis_connection.config_set("maxmemory-policy", "allkeys-lru")
    redis_connection.config_set("maxmemory", used_bytes + 2_000_000)
    yield redis_connection
    redis_connection.config_set("maxmemory", "0")
    redis_connection.config_set("maxmemory-policy", "noeviction")


def test_a_job_that_redis_evicted_is_enqueued_again_and_runs_once(add, deploy, clock, evicting):
    """bullmq 419, fleetyards 4335, sidekiq 2883: jobs were gone without a trace."""
    executions = []
    add("report", lambda: executions.append(1), schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    run_id = run_id_for_slot("report", slot("09:01"))
    key = Job.key_for(job_id(run_id))
    for number in range(10_000):
        evicting.set(f"filler:{number}", "x" * 10_000)
        if not evicting.exists(key):
            break
    assert not evicting.exists(key)
    evicting.config_set("maxmemory", "0")
    clock.advance(10 * SECOND)
    reconcile(runner)
    again = CronEvent.objects.for_run(run_id).of_type("run_enqueued").order_by("id").last()
    assert again.data["found"] == "no job, never started"
    assert evicting.exists(key)
    get_worker("default", worker_class=SimpleWorker).work(burst=True)
    assert executions == [1]
    assert CronEvent.objects.for_run(run_id).outcomes().get().type == "run_succeeded"


def die_while_running(run_id, clock, connection: Redis) -> None:
    """A worker takes the job, notes its start, and its machine is gone."""
    started = Event(
        stream=run_stream(run_id), version=0, type=EventType.RUN_STARTED, cron="report",
        run_id=run_id, attempt=1, actor="worker/gone", occurred_at=clock.now,
    )  # fmt: skip
    store.append_next([started])
    job = Job.fetch(job_id(run_id), connection=connection)
    Queue("default", connection=connection).remove(job)
    with connection.pipeline() as pipeline:
        execution = Execution.create(job, 90, pipeline)
        job.set_status(JobStatus.STARTED, pipeline=pipeline)
        pipeline.execute()
    # As they expire, some time after the last heartbeat.
    connection.delete(execution.key, ExecutionRegistry(job.id, connection=connection).key)


@pytest.mark.parametrize("idempotent", [False, True])
def test_after_a_crash_no_second_run_begins_beside_the_first(
    add, deploy, clock, redis_connection, idempotent
):
    """nomad 11052 and 14505: two ran, although overlap was forbidden.

    maho 1156, Aoe_Scheduler 40: the dead one counted as running for ever, and blocked the others.
    """
    add("report", schedule="* * * * *", overlap="skip", timeout=30, idempotent=idempotent)
    runner = deploy()
    clock.set(slot("09:01:00"))
    runner.tick()
    run_id = run_id_for_slot("report", slot("09:01"))
    die_while_running(run_id, clock, redis_connection)
    clock.set(slot("09:02:00"))
    runner.tick()
    reconcile(runner)
    assert_not_fired("report", slot("09:02"), reason="overlap")
    clock.set(slot("09:02:59"))
    reconcile(runner)
    assert CronEvent.objects.for_run(run_id).outcomes().get().type == "run_lost"
    clock.set(slot("09:03:00"))
    runner.tick()
    if idempotent:  # it is done again, and that is a run, too
        assert_not_fired("report", slot("09:03"), reason="overlap")
    else:
        assert_fired("report", slot("09:03"))
    assert len(runner.states.crons["report"].open_runs) == 1
    assert audit("report").ok


def test_a_runner_that_loses_the_lease_stands_by_and_goes_on_later(add, deploy, clock, caplog):
    """redbeat 230, posthog 101081: it raised, and took the worker with it. redbeat 208: it went on
    sending without the lock."""
    add("report", schedule="* * * * *")
    runner = deploy()
    CronLease.objects.filter(name="leader").update(holder="another", renewed_at=Now())
    runner.lease._renewed_at = float("-inf")
    clock.advance(MINUTE)
    runner.tick()
    assert assert_not_fired("report", slot("09:01")) is None
    assert not runner.leading
    CronLease.objects.filter(name="leader").update(renewed_at=Now() - MINUTE)
    runner.tick()
    assert_fired("report", slot("09:01"))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_lease_of_a_dead_runner_ends_by_itself(add, deploy, clock, settings):
    """celerybeatredis 11, redbeat 85: its lock blocked all others, for minutes or for ever."""
    from rqcron_events.runner.runner import Runner

    settings.RQCRON_LEASE_SECONDS = 30
    add("report", schedule="* * * * *")
    deploy()  # and it is killed: it says no goodbye
    clock.advance(MINUTE)
    standby = Runner()
    standby.start()
    for seconds, leads in ((0, False), (29, False), (31, True)):
        CronLease.objects.filter(name="leader").update(renewed_at=Now() - seconds * SECOND)
        standby.tick()
        assert standby.leading is leads
    assert_fired("report", slot("09:01"))


def test_a_herd_is_decided_at_once_and_h_or_jitter_spread_it(add, deploy, clock):
    """test-infra 12148, airflow 69705, robfig 309: all at midnight."""
    for number in range(20):
        add(f"together {number}", schedule="0 0 * * *")
        add(f"hashed {number}", schedule="H 0 * * *")
        add(f"jittered {number}", schedule="0 0 * * *", jitter=60 * MINUTE)
    clock.set(datetime(2026, 3, 2, 23, 59, 30, tzinfo=UTC))
    runner = deploy()
    begun = {"together": [], "hashed": [], "jittered": []}
    fired = CronEvent.objects.of_type("slot_fired")
    clock.advance(30 * SECOND)
    for _ in range(21):
        known = set(fired.values_list("id", flat=True))
        runner.tick()
        for kind, counts in begun.items():
            new = fired.filter(cron__startswith=kind).exclude(id__in=known)
            counts.append(new.count())
        clock.advance(3 * MINUTE)
    assert begun["together"][0] == 20
    for kind in ("hashed", "jittered"):
        assert sum(begun[kind]) == 20
        assert max(begun[kind]) < 8
