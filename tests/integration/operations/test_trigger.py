"""A run at a time that somebody gives, and with arguments for that run alone."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from rq import Queue, SimpleWorker

from rqcron_events import cancel_run
from rqcron_events.core.cron_state import CronState
from rqcron_events.errors import CronConfigError
from rqcron_events.execution.enqueuer import job_id
from rqcron_events.models import CronEvent
from rqcron_events.operations import cancel, controls
from rqcron_events.queries.explain import explain_run
from rqcron_events.testing import assert_fired

MINUTE = timedelta(minutes=1)
CALLS: list[tuple] = []


def greet(name="nobody", *, times=1):
    CALLS.append((name, times))


@pytest.fixture(autouse=True)
def at_commit(monkeypatch):
    """The test's transaction never commits, so what waits for that is done at once."""
    CALLS.clear()
    for module in (controls, cancel):
        monkeypatch.setattr(module.transaction, "on_commit", lambda do, using: do())


@pytest.fixture
def runner(deploy, add, monkeypatch, crons):
    monkeypatch.setattr("rqcron_events.operations.of_one_run.registry", crons)
    add("greet", greet, schedule="0 0 1 1 *", args=["ann"])
    return deploy()


def reconcile(runner, clock, by=timedelta(seconds=10)) -> None:
    clock.advance(by)
    runner.states.follow()
    runner._reconciled_at = float("-inf")
    runner.reconcile_all()


def queued(connection) -> list[str]:
    return Queue("default", connection=connection).job_ids


def work(connection) -> None:
    SimpleWorker([Queue("default", connection=connection)], connection=connection).work(burst=True)


def test_a_run_at_a_time_is_enqueued_then_and_not_before(runner, clock, redis_connection):
    run_id = controls.trigger("greet", at=clock.now + MINUTE, by="ann", reason="later")
    reconcile(runner, clock)
    assert queued(redis_connection) == []
    told = explain_run(run_id).summary
    assert "to begin at 2026-03-02 09:01:30" in told
    reconcile(runner, clock, MINUTE)
    assert queued(redis_connection) == [job_id(run_id)]


def test_it_survives_a_snapshot_and_a_redis_that_lost_it(runner, clock, redis_connection):
    run_id = controls.trigger("greet", at=clock.now + MINUTE, args=["bob"], kwargs={"times": 2})
    runner.states.follow()
    state = runner.states.crons["greet"]
    runner.states.crons["greet"] = CronState.from_data("greet", state.to_data())
    reconcile(runner, clock)
    assert queued(redis_connection) == []
    reconcile(runner, clock, MINUTE)
    redis_connection.flushdb()
    reconcile(runner, clock)
    assert queued(redis_connection) == [job_id(run_id)]
    work(redis_connection)
    assert CALLS == [("bob", 2)]


def test_it_holds_up_no_slot_before_its_time(deploy, add, clock):
    add("hourly", schedule="* * * * *", overlap="skip")
    runner = deploy()
    controls.trigger("hourly", at=clock.now + timedelta(hours=1))
    clock.advance(MINUTE)
    runner.tick()
    assert_fired("hourly", clock.now.replace(second=0))


def test_it_can_be_cancelled(runner, clock, redis_connection):
    run_id = controls.trigger("greet", at=clock.now + MINUTE)
    cancel_run(run_id, by="ann")
    reconcile(runner, clock, 2 * MINUTE)
    assert queued(redis_connection) == []


def test_arguments_of_one_run_are_used_recorded_and_repeated_by_a_rerun(runner, redis_connection):
    controls.trigger("greet")
    run_id = controls.trigger("greet", kwargs={"times": 3}, by="ann")
    again = controls.rerun(run_id)
    work(redis_connection)
    assert CALLS == [("ann", 1), ("ann", 3), ("ann", 3)]
    for asked in (run_id, again):
        data = CronEvent.objects.for_run(asked).of_type("run_requested").get().data
        assert (data.get("args"), data["kwargs"]) == (None, {"times": 3})
    assert 'with kwargs {"times": 3}' in explain_run(run_id).summary


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"at": timedelta(0)}, "is in the past"),
        ({"at": timedelta(days=400)}, "more than a year ahead"),
        ({"args": [1, 2, 3]}, "too many positional arguments"),
        ({"kwargs": {"tims": 3}}, "unexpected keyword argument 'tims'"),
        ({"args": "ann"}, "args must be a list"),
        ({"kwargs": {"times": float("nan")}}, "kwargs.times is nan"),
        ({"args": ["x" * 30_000]}, "at most 20,000 are allowed"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_the_remedy(runner, clock, asked, words):
    if "at" in asked:
        asked = {"at": clock.now + asked["at"]}
    with pytest.raises(CronConfigError, match=words):
        controls.trigger("greet", **asked)
    assert not CronEvent.objects.of_type("run_requested").exists()


def test_the_command_takes_json_and_a_time(runner, redis_connection):
    out = StringIO()
    call_command("cron_trigger", "greet", run_args='["bob"]', kwargs='{"times": 2}', stdout=out)
    work(redis_connection)
    assert CALLS == [("bob", 2)]
    with pytest.raises(CommandError, match="is not JSON"):
        call_command("cron_trigger", "greet", "--args=[bob]")
    with pytest.raises(CommandError, match="is not a list"):
        call_command("cron_trigger", "greet", "--args={}")


def test_the_command_tells_beside_the_id_how_it_read_the_time(
    runner, add, deploy, redis_connection
):
    add("berlin", greet, schedule="0 0 1 1 *", timezone="Europe/Berlin")
    deploy()
    out, err = StringIO(), StringIO()
    call_command("cron_trigger", "berlin", "--at", "tomorrow 8am", stdout=out, stderr=err)
    asked = CronEvent.objects.of_type("run_requested").get()
    assert out.getvalue().strip() == str(asked.run_id)
    short = str(asked.run_id)[:8]
    assert err.getvalue().strip() == (
        f"Run {short} is requested, and begins at 2026-03-03 08:00:00 CET (07:00:00 UTC). "
        f"cron_explain --run {short} tells what becomes of it."
    )
