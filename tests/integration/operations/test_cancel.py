"""A backlog is cancelled, and does not come back; what a worker has begun goes on."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from redis.exceptions import ResponseError
from rq import Queue
from rq.job import Job
from rq.registry import ScheduledJobRegistry

from rqcron_events import cancel_queued, cancel_run, explain
from rqcron_events.core.events import Event, make
from rqcron_events.core.events.make import InRun
from rqcron_events.errors import NotWaiting, UnknownCron, UnknownRun
from rqcron_events.execution.attempt import begin
from rqcron_events.execution.enqueuer import Enqueuer, job_id
from rqcron_events.execution.waiting_jobs.continuity import MARK_KEY
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.operations import cancel

MINUTE = timedelta(minutes=1)
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def at_commit(monkeypatch):
    """The test's transaction never commits, so what waits for that is done at once."""
    monkeypatch.setattr(cancel.transaction, "on_commit", lambda do, using: do())


@pytest.fixture
def backlog(deploy, add, clock):
    """A runner, and three runs of a cron that wait in a queue."""
    add("report", schedule="* * * * *")
    runner = deploy()
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
    return runner


def runs(runner, cron: str = "report"):
    runner.states.follow()
    return list(runner.states.crons[cron].open_runs)


def reconcile(runner, clock) -> None:
    clock.advance(timedelta(seconds=10))
    runner.states.follow()
    runner._reconciled_at = float("-inf")
    runner.reconcile_all()


def queued(connection) -> list[str]:
    return Queue("default", connection=connection).job_ids


def started(run_id, clock, **other) -> Event:
    place = {"cron": "report", "run_id": run_id, "version": 0, "slot": None, "at": clock.now}
    return make.run_started(
        attempt=1,
        retries_left=0,
        job_created_at="",
        job_enqueued_at="",
        **InRun(**{**place, "actor": "worker/1", **other}),
    )


def outcomes(run_id) -> list[tuple[str, str, str]]:
    rows = CronEvent.objects.for_run(run_id).outcomes()
    return list(rows.values_list("type", "actor", "reason"))


def test_a_backlog_is_cancelled_with_who_and_why_and_does_not_come_back(
    backlog, clock, redis_connection
):
    waiting = runs(backlog)
    out = StringIO()
    call_command("cron_cancel", "report", queued=True, by="ann", reason="old data", stdout=out)
    assert out.getvalue().startswith("3 runs of report cancelled.")
    assert {tuple(outcomes(run_id)) for run_id in waiting} == {
        (("run_cancelled", "ann", "old data"),)
    }
    assert queued(redis_connection) == []
    assert not any(redis_connection.exists(Job.key_for(job_id(run_id))) for run_id in waiting)
    for _ in range(2):
        reconcile(backlog, clock)
    assert queued(redis_connection) == []
    clock.advance(MINUTE)
    backlog.tick()
    assert len(queued(redis_connection)) == 1  # slots that come due later fire


def test_explain_and_history_tell_who_cancelled_a_run(backlog, clock):
    run_id = runs(backlog)[0]
    cancel_run(run_id, by="ann", reason="old data")
    slot = CronEvent.objects.for_run(run_id).of_type("slot_fired").get().scheduled_for
    told = explain("report", slot)
    assert "ann cancelled its run while it waited (old data)" in told.summary
    assert ("cancelled", "by ann (old data)") in [(step.name, step.detail) for step in told.steps]


def test_what_a_worker_has_begun_is_left_alone_and_said(backlog, clock):
    first, *others = runs(backlog)
    store.append_next([started(first, clock)])
    with pytest.raises(NotWaiting, match=r"worker/1 began attempt 1 at 09:03:30 UTC"):
        cancel_run(first, by="ann")
    done = cancel_queued("report", by="ann")
    assert (done.begun, sorted(done.cancelled)) == ([first], sorted(others))
    assert outcomes(first) == []


def test_a_worker_that_begins_meanwhile_is_first_or_is_refused(
    backlog, clock, redis_connection, monkeypatch
):
    """Its start and the cancellation want the same version of the run's stream."""
    first, *others = runs(backlog)
    read, meanwhile = cancel.read_runs, [started(first, clock)]

    def then_a_worker_begins(run_ids):
        found = read(run_ids)
        store.append_next([meanwhile.pop()] if meanwhile else [])
        return found

    monkeypatch.setattr(cancel, "read_runs", then_a_worker_begins)
    done = cancel_queued("report", by="ann")
    assert (done.begun, sorted(done.cancelled)) == ([first], sorted(others))


def test_a_job_that_is_left_in_redis_is_refused_by_the_worker(
    backlog, clock, redis_connection, settings, monkeypatch, caplog
):
    """Redis was away when somebody cancelled; a job that a runner enqueues late is no other case."""
    run_id, *_ = runs(backlog)
    job = Job.fetch(job_id(run_id), connection=redis_connection)
    monkeypatch.setitem(settings.RQ_QUEUES, "default", {"URL": NOWHERE})
    monkeypatch.setitem(settings.RQ_QUEUES, "low", {"URL": NOWHERE})
    cancel_run(run_id, by="ann")
    assert "does not answer" in caplog.text
    attempt = begin(job, "report", run_id)
    assert attempt.closed
    refused = CronEvent.objects.for_run(run_id).of_type("start_refused").get()
    assert refused.reason == "already_ended"
    assert not CronEvent.objects.of_type("run_requested").exists()


def test_a_second_person_finds_it_ended(backlog):
    run_id, *_ = runs(backlog)
    cancel_run(run_id, by="ann")
    with pytest.raises(NotWaiting, match="it has ended \\(cancelled\\)"):
        cancel_run(run_id, by="bob")
    assert run_id not in cancel_queued("report", by="bob").cancelled
    assert [actor for _, actor, _ in outcomes(run_id)] == ["ann"]


def test_a_run_between_two_attempts_is_cancelled_and_its_next_one_never_comes(
    backlog, clock, redis_connection
):
    run_id, *_ = runs(backlog)
    store.append_next([started(run_id, clock)])
    failed = make.attempt_failed(
        cron="report",
        run_id=run_id,
        version=0,
        slot=None,
        actor="worker/1",
        at=clock.now,
        attempt=1,
        retries_left=1,
    )
    store.append_next([failed])
    queue = Enqueuer().queue("default")
    job = Job.fetch(job_id(run_id), connection=redis_connection)
    queue.remove(job)
    queue.schedule_job(job, clock.now + timedelta(hours=1))
    cancel_run(run_id, by="ann")
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == []
    assert outcomes(run_id) == [("run_cancelled", "ann", "")]


@pytest.mark.django_db
def test_what_is_not_there_is_named(backlog):
    with pytest.raises(UnknownRun):
        cancel_run(uuid4())
    with pytest.raises(UnknownCron):
        cancel_queued("reprt")
    with pytest.raises(CommandError, match="cron_cancel report --queued"):
        call_command("cron_cancel", "report")


# Somebody empties the queue in django-rq


def test_a_queue_that_somebody_emptied_stays_empty(backlog, clock, redis_connection):
    waiting = runs(backlog)
    reconcile(backlog, clock)
    Queue("default", connection=redis_connection).empty()
    reconcile(backlog, clock)
    assert queued(redis_connection) == []
    deleted = "its job was deleted in RQ while it waited"
    assert {(kind, why) for run in waiting for kind, _, why in outcomes(run)} == {
        ("run_cancelled", deleted)
    }


def test_a_queue_that_is_emptied_right_after_the_hand_over_stays_empty(
    backlog, clock, redis_connection
):
    reconcile(backlog, clock)
    clock.advance(MINUTE)
    backlog.tick()
    Queue("default", connection=redis_connection).empty()
    reconcile(backlog, clock)
    assert queued(redis_connection) == []


@pytest.fixture
def evicting(redis_connection):
    """``evicting()``: the server has no room for anything that it holds."""

    def evict() -> None:
        mark = redis_connection.get(MARK_KEY)
        redis_connection.config_set("maxmemory-policy", "allkeys-random")
        redis_connection.config_set("maxmemory", "1")
        with pytest.raises(ResponseError, match="used memory"):
            redis_connection.set("some", "thing")
        redis_connection.config_set("maxmemory", "0")
        assert not redis_connection.dbsize()
        redis_connection.set(MARK_KEY, mark)  # as if that had been spared

    yield evict
    redis_connection.config_set("maxmemory", "0")
    redis_connection.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("how", ["flushed", "evicted", "a new leader"])
def test_what_redis_lost_is_enqueued_again(backlog, clock, redis_connection, evicting, deploy, how):
    waiting = runs(backlog)
    reconcile(backlog, clock)
    runner = backlog
    match how:
        case "flushed":
            redis_connection.flushdb()
        case "evicted":
            evicting()
        case _:  # it has not seen the jobs, so it cannot tell
            Queue("default", connection=redis_connection).empty()
            runner = deploy()
    reconcile(runner, clock)
    assert sorted(queued(redis_connection)) == sorted(map(job_id, waiting))
