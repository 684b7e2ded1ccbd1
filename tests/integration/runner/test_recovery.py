"""A runner finds that the log went back, in whatever state its crons and their jobs are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from django_rq import get_worker
from rq import SimpleWorker
from rq.job import Job, JobStatus
from rqcron_projections import projector
from rqcron_projections.models import CronDay, CronJob, CronRun

from rqcron_events import clock as machine
from rqcron_events.core.events import make
from rqcron_events.core.run_state import RunState
from rqcron_events.errors import PositionAhead
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States
from rqcron_events.ledger.follow import follow
from rqcron_events.ledger.run_streams import append_to_run, read_run
from rqcron_events.models import CronEvent, CronSnapshot
from rqcron_events.operations import controls
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain
from rqcron_events.queries.health import health
from rqcron_events.runner import runner as runner_module
from rqcron_events.testing import FakeClock
from tests.went_back import go_back, newest

MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.usefixtures("rq_believed_at_once")


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Near the true time, by which RQ's workers note what they do."""
    with FakeClock(datetime.now(UTC).replace(second=30, microsecond=0)) as fake:
        yield fake


def work() -> None:
    """Whatever is in the queue, once."""
    worker = get_worker("default", worker_class=SimpleWorker)
    worker.work(burst=True)


@dataclass
class Executed:
    runs: list[str] = field(default_factory=list)


@pytest.fixture
def executed(add: Callable[..., None]) -> Executed:
    """A cron ``report``, each minute, and the slots for which it ran."""
    from rqcron_events import current_run

    found = Executed()

    def report() -> None:
        run = current_run()
        assert run is not None
        found.runs.append(str(run.run_id))

    add("report", report, schedule="* * * * *", overlap="skip", timeout=30)
    return found


def decisions() -> list[tuple[str, int, str]]:
    """Type, minutes since the cron was registered, and reason or what told of it."""
    rows = CronEvent.objects.decisions().order_by("version")
    registered = CronEvent.objects.of_type("cron_registered").get().occurred_at
    return [
        (
            row.type,
            round((row.scheduled_for - registered) / MINUTE + 0.5),
            row.reason or ",".join(told_by(row)),
        )
        for row in rows
    ]


def told_by(row: CronEvent) -> list[str]:
    return row.data.get("recovered", {}).get("from", [])


def is_sound() -> None:
    found = audit()
    assert found.ok, [cron.to_data() for cron in found.crons]
    assert len(found.losses) == 1


def test_what_ran_is_found_in_redis_and_recorded(deploy, executed, clock, caplog):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    work()
    kept = newest()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
        work()
    go_back(kept)
    clock.advance(MINUTE)
    with caplog.at_level(logging.ERROR):
        runner.tick()
    work()
    assert decisions() == [
        ("slot_fired", 1, ""),
        ("slot_fired", 2, "redis"),
        ("slot_fired", 3, "redis,runner"),
        ("slot_fired", 4, ""),
    ]
    assert len(executed.runs) == len(set(executed.runs)) == 4
    assert "log_went_back" in [getattr(record, "action", "") for record in caplog.records]
    clock.advance(timedelta(seconds=10))
    runner.reconcile_all()
    ends = CronEvent.objects.outcomes().order_by("scheduled_for")
    assert [(end.type, end.data.get("found")) for end in ends] == [
        ("run_succeeded", None),
        ("run_succeeded", "RQ says finished"),
        ("run_succeeded", "RQ says finished"),
        ("run_succeeded", None),
    ]
    is_sound()
    assert any("went back" in problem for problem in health().problems)
    clock.advance(timedelta(days=2))
    assert not any("went back" in problem for problem in health().problems)


def test_a_new_database_beside_an_old_redis_is_told_as_that(deploy, executed, clock, caplog):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    go_back(0)
    with caplog.at_level(logging.ERROR):
        deploy().tick()
    assert any(
        "Redis had jobs of runs that the log does not know" in problem
        for problem in health().problems
    )
    assert "Redis had jobs of runs that the log does not know" in caplog.text


def test_the_loss_is_an_event_with_its_range(deploy, executed, clock):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    work()
    kept = newest()
    last = CronEvent.objects.get(id=kept).occurred_at
    clock.advance(MINUTE)
    runner.tick()
    go_back(kept)
    clock.advance(MINUTE)
    runner.tick()
    (event,) = CronEvent.objects.of_type("log_went_back")
    assert event.stream == "ledger" and event.actor == runner.actor
    assert event.data == {
        "epoch": 1,
        "since": last.isoformat(),
        "until": clock.now.isoformat(),
        "streams": {"cron/report": [3, 2]},
    }
    (loss,) = audit().losses
    assert loss.covers(last + MINUTE) and not loss.covers(last)


def test_what_left_no_trace_is_missed_and_never_runs_again(
    deploy, executed, clock, redis_connection
):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    work()
    kept = newest()
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
        work()
    redis_connection.flushdb()
    runner.states.follow()
    go_back(kept)
    clock.advance(MINUTE)
    runner.tick()
    work()
    assert decisions() == [
        ("slot_fired", 1, ""),
        ("slot_missed", 4, "decision_lost"),
        ("slot_fired", 5, ""),
    ]
    missed = CronEvent.objects.of_type("slot_missed").get()
    assert missed.data["count"] == 3
    assert len(executed.runs) == len(set(executed.runs)) == 5
    is_sound()
    assert "log went back" in explain("report", missed.scheduled_for).summary


def test_a_run_of_which_only_the_end_is_lost_is_not_run_again(
    deploy, executed, clock, redis_connection
):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    kept = newest()
    work()
    runner.states.follow()
    redis_connection.flushdb()
    go_back(kept)
    clock.advance(timedelta(seconds=20))
    runner.tick()
    runner.reconcile_all()
    work()
    assert len(executed.runs) == 1
    (end,) = CronEvent.objects.outcomes()
    assert end.type == "run_lost" and "went back" in end.reason
    assert not runner.states.crons["report"].open_runs
    is_sound()


def test_an_idempotent_cron_may_run_again(deploy, add, executed, clock, redis_connection):
    add("report", executed.runs.clear, schedule="* * * * *", idempotent=True)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    kept = newest()
    work()
    runner.states.follow()
    redis_connection.flushdb()
    go_back(kept)
    clock.advance(timedelta(seconds=20))
    runner.tick()
    runner.reconcile_all()
    work()
    assert [end.type for end in CronEvent.objects.outcomes()] == ["run_succeeded"]
    is_sound()


def test_a_job_that_waits_runs_once_and_a_decision_without_a_job_does_not(deploy, executed, clock):
    runner = deploy()
    kept = newest()
    clock.advance(MINUTE)
    runner.tick()
    go_back(kept)
    clock.advance(timedelta(seconds=20))
    runner.tick()
    runner.reconcile_all()
    work()
    assert len(executed.runs) == 1
    assert [row[0] for row in decisions()] == ["slot_fired"]
    assert told_by(CronEvent.objects.of_type("slot_fired").get()) == ["redis", "runner"]
    is_sound()


def test_a_run_that_ended_after_the_failover_is_known_to_have_ended(deploy, executed, clock):
    """Its worker writes of a run that the log does not know."""
    runner = deploy()
    kept = newest()
    clock.advance(MINUTE)
    runner.tick()
    go_back(kept)
    work()
    clock.advance(timedelta(seconds=20))
    runner.tick()
    fired = CronEvent.objects.of_type("slot_fired").get()
    assert fired.data["recovered"]["outcome"] == "run_succeeded"
    assert told_by(fired) == ["log", "redis", "runner"]
    assert not runner.states.crons["report"].open_runs
    assert not States.load().crons["report"].open_runs
    projector.catch_up()
    assert CronJob.objects.get().last_run_status == "succeeded"
    assert CronRun.objects.get().status == "succeeded"
    assert CronDay.objects.get().succeeded == 1
    is_sound()


def test_a_persons_request_is_recovered(
    deploy, executed, clock, django_capture_on_commit_callbacks
):
    runner = deploy()
    kept = newest()
    with django_capture_on_commit_callbacks(execute=True):
        run_id = controls.trigger("report", by="ann")
    work()
    runner.states.follow()
    go_back(kept)
    assert executed.runs == [str(run_id)]
    clock.advance(timedelta(seconds=20))
    runner.tick()
    (requested,) = CronEvent.objects.of_type("run_requested")
    assert requested.run_id == run_id
    assert requested.data["trigger"] == "recovered"


@pytest.mark.parametrize("left_in_redis", ["failed", "nothing"])
def test_a_start_that_was_recorded_between_the_loss_and_its_finding_counts(
    left_in_redis, deploy, executed, clock, redis_connection, django_capture_on_commit_callbacks
):
    """The start stands in the log before the request that it belongs to, and the worker died."""
    runner = deploy()
    kept = newest()
    with django_capture_on_commit_callbacks(execute=True):
        run_id = controls.trigger("report", by="ann")
    runner.states.follow()
    go_back(kept)
    place = {"cron": "report", "run_id": run_id, "slot": None, "actor": "worker/w1"}
    job = {"retries_left": 0, "job_created_at": "", "job_enqueued_at": ""}
    store.append([make.run_started(version=1, attempt=1, at=machine.now(), **place, **job)])
    clock.advance(timedelta(seconds=20))
    runner.tick()
    requested = CronEvent.objects.of_type("run_requested").get()
    started = CronEvent.objects.of_type("run_started").get()
    assert requested.data["trigger"] == "recovered" and started.id < requested.id
    runner.reconcile_all()
    if left_in_redis == "failed":
        Job.fetch(f"cron-{run_id}", connection=redis_connection).set_status(JobStatus.FAILED)
    else:
        redis_connection.flushall()
    clock.advance(timedelta(seconds=100))
    runner.reconcile_all()
    (end,) = CronEvent.objects.outcomes()
    expected = "run_failed" if left_in_redis == "failed" else "run_lost"
    assert (end.run_id, end.type, end.attempt) == (run_id, expected, 1)
    assert not runner.states.crons["report"].open_runs
    assert executed.runs == []


def test_a_registration_that_is_lost_is_made_again(deploy, executed, clock):
    kept = newest()
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    work()
    go_back(kept)
    clock.advance(MINUTE)
    runner.tick()
    work()
    assert len(executed.runs) == len(set(executed.runs))
    types = [row.type for row in CronEvent.objects.for_cron("report").order_by("id")]
    assert types[:2] == ["cron_registered", "run_requested"]
    clock.advance(timedelta(seconds=10))
    runner.reconcile_all()
    is_sound()


def test_a_runner_that_begins_afterwards_goes_by_the_jobs(deploy, executed, clock):
    runner = deploy()
    kept = newest()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
        work()
    go_back(kept)
    CronSnapshot.objects.all().delete()
    clock.advance(MINUTE)
    runner = deploy()
    work()
    assert [row[2] for row in decisions()] == ["redis", "redis", ""]
    assert len(executed.runs) == len(set(executed.runs)) == 3
    clock.advance(timedelta(seconds=10))
    runner.reconcile_all()
    is_sound()


def test_a_snapshot_of_what_is_lost_is_not_used_but_remembered(
    deploy, executed, clock, redis_connection
):
    runner = deploy()
    kept = newest()
    clock.advance(MINUTE)
    runner.tick()
    work()
    runner.states.follow()
    runner.save_snapshot()
    redis_connection.flushdb()
    go_back(kept)
    clock.advance(timedelta(seconds=20))
    deploy()
    assert decisions() == [("slot_missed", 1, "decision_lost")]
    assert not States.load().crons["report"].open_runs
    is_sound()


def test_a_log_of_which_nothing_is_lost_never_went_back(deploy, executed, clock):
    runner = deploy()
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
        work()
        runner.leading = False
        runner.tick()
    assert not CronEvent.objects.of_type("log_went_back").exists()
    assert not runner.states.log_went_back()


def test_another_history_of_the_same_length_is_another(deploy, executed, clock):
    runner = deploy()
    kept = newest()
    clock.advance(MINUTE)
    runner.tick()
    work()
    runner.states.follow()
    others = list(CronEvent.objects.filter(id__gt=kept).order_by("id"))
    go_back(kept)
    for other in others:
        other.pk, other.occurred_at = None, other.occurred_at + timedelta(microseconds=1)
    CronEvent.objects.bulk_create(others)
    assert runner.states.log_went_back()


def test_an_end_whose_start_is_lost_is_recorded(deploy, executed, clock):
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    kept = newest()
    work()
    (run_id,) = {row.run_id for row in CronEvent.objects.of_type("run_succeeded")}
    remembered = read_run(run_id)
    assert isinstance(remembered, RunState) and remembered.version == 3
    end = store.read_stream(remembered.stream)[-1]
    remembered.version, remembered.outcome = 2, None
    go_back(kept)
    append_to_run(remembered, lambda state: [replace(end, version=state.version + 1)])
    assert [event.type for event in store.read_stream(remembered.stream)] == [
        "run_enqueued",
        "run_succeeded",
    ]


@pytest.fixture
def ahead(deploy, executed, clock) -> int:
    deploy()
    projector.catch_up()
    position = newest()
    go_back(position - 1)
    return position


def test_a_projection_that_is_ahead_of_the_log_says_so_and_stays(ahead, caplog):
    with caplog.at_level(logging.ERROR):
        assert projector.catch_up() == 0
    assert "cron_replay" in caplog.text and "went back" in caplog.text
    assert projector.broken()
    assert any("ahead of the log" in problem for problem in health().problems)


def test_a_reader_that_is_ahead_of_the_log_is_told(ahead):
    with pytest.raises(PositionAhead, match="position 0"):
        next(follow(ahead, idle_seconds_max=0))


def test_a_clock_that_is_set_in_the_middle_of_it_leaves_nothing_of_the_future(
    deploy, executed, clock, redis_connection, monkeypatch
):
    """It was right when the runner looked last."""
    runner = deploy()
    kept = newest()
    clock.advance(MINUTE)
    runner.tick()
    work()
    runner.states.follow()
    redis_connection.flushdb()
    go_back(kept)
    clock.advance(timedelta(seconds=20))
    recover = runner_module.recover

    def ahead_meanwhile(*args: object) -> None:
        with monkeypatch.context() as wrong:
            real, day = machine.machine_seconds, timedelta(days=1)
            wrong.setattr(machine, "machine_seconds", lambda: real() + day.total_seconds())
            clock.advance(day)
            recover(*args)
            clock.advance(-day)

    monkeypatch.setattr(runner_module, "recover", ahead_meanwhile)
    runner.tick()
    assert decisions() == [("slot_missed", 1, "decision_lost")]
    assert not CronEvent.objects.filter(occurred_at__gt=clock.now + MINUTE).exists()
    is_sound()
