"""Repairs that end one run and ask for another."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from rqcron_events.core.events import Event, EventType
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
        cron=state.cron,
        run_id=state.run_id,
        attempt=1,
        actor="worker/gone",
        occurred_at=at,
    )


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
