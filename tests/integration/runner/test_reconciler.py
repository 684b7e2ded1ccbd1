"""Repairs that end one run and ask for another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from rq import Queue

from rqcron_events.core.events import Event, EventType, Reason
from rqcron_events.core.run_state import RunState
from rqcron_events.ledger import store
from rqcron_events.ledger.run_streams import read_run
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

MINUTE = timedelta(minutes=1)


def started(state: RunState, at: datetime) -> Event:
    """The first attempt of that run begins, at a worker that is gone."""
    return Event(
        stream=state.stream,
        version=state.version + 1,
        type=EventType.RUN_STARTED,
        cron=state.cron or "sync",  # a stream may lack what came before
        run_id=state.run_id,
        attempt=1,
        actor="worker/gone",
        occurred_at=at,
    )


def failed(state: RunState, at: datetime) -> Event:
    """That attempt ends, and RQ is to make another."""
    return replace(started(state, at), type=EventType.ATTEMPT_FAILED, reason=Reason.EXCEPTION)


@pytest.fixture
def lost(deploy, add, clock, redis_connection):
    """A runner, and a run of an idempotent cron that started and of which RQ knows nothing."""
    add("sync", schedule="* * * * *", idempotent=True, timeout=30)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    (run_id,) = runner.states.crons["sync"].open_runs
    state = read_run(run_id)
    store.append([started(state, clock.now)])
    redis_connection.flushdb()
    clock.advance(2 * MINUTE)
    runner.states.follow()
    return runner, run_id


def reconcile(runner):
    runner.rq.reconciler.begin(runner.states)
    while not runner.rq.reconciler.done:
        runner.rq.reconciler.step(runner.states)


def test_a_lost_run_of_an_idempotent_cron_runs_again_as_a_run_of_its_own(lost, clock):
    runner, run_id = lost
    reconcile(runner)
    requested = CronEvent.objects.of_type("run_requested").get()
    assert (requested.data["trigger"], requested.data["of"]) == ("rerun", str(run_id))
    assert CronEvent.objects.for_run(run_id).outcomes().get().type == "run_lost"
    clock.advance(timedelta(seconds=10))
    reconcile(runner)
    assert CronEvent.objects.for_run(requested.run_id).of_type("run_enqueued").exists()


def test_the_loss_and_the_new_run_are_recorded_together_or_not_at_all(lost):
    """Somebody appends to the cron's stream meanwhile: neither goes in, the next pass does both."""
    runner, run_id = lost
    controls.pause("sync", reason="maintenance", by="ann")
    reconcile(runner)
    assert not CronEvent.objects.of_type("run_requested").exists()
    assert not CronEvent.objects.for_run(run_id).outcomes().exists()
    reconcile(runner)
    assert CronEvent.objects.of_type("run_requested").exists()
    assert CronEvent.objects.for_run(run_id).outcomes().get().type == "run_lost"


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "its runner died first"])
def test_a_retry_that_a_dead_worker_had_taken_but_not_begun_goes_back(
    recorded, deploy, add, clock, redis_connection
):
    """As its first attempt would: it is in no list of RQ's. Nor must the log say that it was enqueued."""
    add("sync", schedule="* * * * *", retry=2)
    runner = deploy()
    if not recorded:
        runner.enqueue = lambda requests: list(runner.rq.enqueuer.enqueue(requests))
    clock.advance(MINUTE)
    runner.tick()
    (run_id,) = runner.states.crons["sync"].open_runs
    for follows in (started, failed):
        store.append([follows(read_run(run_id), clock.now)])
    queue = Queue("default", connection=redis_connection)
    Queue.dequeue_any([queue, Queue("high", connection=redis_connection)], None, redis_connection)
    assert queue.get_job_ids() == []
    for _ in range(2):  # seen twice, a clean-up apart
        clock.advance(MINUTE)
        runner.states.follow()
        runner.rq.reconciler.clean_up(runner.states)
    assert queue.get_job_ids() == [f"cron-{run_id}"]
    assert CronEvent.objects.for_run(run_id).order_by("id").last().type == "run_enqueued"


def test_an_attempt_that_began_meanwhile_is_not_put_back(deploy, add, clock, redis_connection):
    """By the log, although this runner has not heard of it yet."""
    add("sync", schedule="* * * * *", retry=2)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    (run_id,) = runner.states.crons["sync"].open_runs
    queue = Queue("default", connection=redis_connection)
    Queue.dequeue_any([queue, Queue("high", connection=redis_connection)], None, redis_connection)
    store.append([started(read_run(run_id), clock.now)])
    for _ in range(2):
        clock.advance(MINUTE)
        runner.rq.reconciler.clean_up(runner.states)
    assert queue.get_job_ids() == []
