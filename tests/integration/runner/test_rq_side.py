"""A Redis that hangs, or a database that does, holds up RQ's side and no decision."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from rqcron_events import clock as clock_module
from rqcron_events.core.events import EventType
from rqcron_events.execution import spool
from rqcron_events.execution.enqueuer import RunRequest
from rqcron_events.execution.waiting_jobs import stranded
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.process.right_of_way import RightOfWay
from rqcron_events.runner import reconciler, rq_threads
from rqcron_events.runner.rq_threads import RqThread

WAIT_SECONDS_MAX = 30.0


def wait_until(condition) -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Frozen:
    """An enqueuer whose Redis neither answers nor refuses until it is let go."""

    def __init__(self, enqueuer) -> None:
        self.goes_on = threading.Event()
        self.reached = threading.Event()
        self._enqueue = enqueuer.enqueue
        enqueuer.enqueue = self._wait

    def _wait(self, requests):
        self.reached.set()
        assert self.goes_on.wait(WAIT_SECONDS_MAX)
        yield from self._enqueue(requests)


@pytest.fixture
def beside(transactional_db, deploy, add):
    """A runner whose RQ side is a thread of its own."""
    add("report", every=timedelta(seconds=1))
    runner = deploy()
    frozen = Frozen(runner.rq.enqueuer)
    runner.work_with_rq_beside()
    yield runner, frozen
    frozen.goes_on.set()
    runner._rq_threads.stop()
    assert runner._rq_threads.join(WAIT_SECONDS_MAX)  # a test may have shortened what stop() waits


def test_decisions_go_on_while_redis_is_frozen_and_each_job_follows(beside, clock):
    runner, frozen = beside
    for _ in range(5):
        clock.advance(timedelta(seconds=1))
        runner.tick()
    assert frozen.reached.wait(WAIT_SECONDS_MAX)
    fired = CronEvent.objects.of_type(EventType.SLOT_FIRED)
    enqueued = CronEvent.objects.of_type(EventType.RUN_ENQUEUED)
    assert (fired.count(), enqueued.count()) == (5, 0)
    frozen.goes_on.set()
    wait_until(lambda: enqueued.count() == 5)
    assert set(fired.values_list("run_id", flat=True)) == set(
        enqueued.values_list("run_id", flat=True)
    )


def test_the_deciding_thread_knows_from_the_log_what_the_other_one_did(beside, clock):
    runner, frozen = beside
    frozen.goes_on.set()
    clock.advance(timedelta(seconds=1))
    runner.tick()
    wait_until(CronEvent.objects.of_type(EventType.RUN_ENQUEUED).exists)
    runner.tick()
    (run,) = runner.states.crons["report"].open_runs.values()
    assert run.enqueued_at is not None


def test_a_redis_that_is_silent_is_said_once(beside, clock, caplog, monkeypatch):
    runner, frozen = beside
    monkeypatch.setattr(rq_threads, "SILENT_SECONDS_MAX", 0.0)
    clock.advance(timedelta(seconds=1))
    runner.tick()
    assert frozen.reached.wait(WAIT_SECONDS_MAX)
    for _ in range(3):
        runner.tick()
    said = [record for record in caplog.records if record.action == "redis_silent"]
    assert len(said) == 1


def test_a_runner_that_stops_does_not_wait_for_a_frozen_redis(beside, clock, monkeypatch):
    runner, frozen = beside
    monkeypatch.setattr(rq_threads, "JOIN_SECONDS_MAX", 0.05)
    clock.advance(timedelta(seconds=1))
    runner.tick()
    assert frozen.reached.wait(WAIT_SECONDS_MAX)
    runner.stop()
    assert CronEvent.objects.of_type(EventType.RUNNER_STOPPED).exists()


@pytest.fixture
def cleaning(deploy, add, clock, monkeypatch):
    """A side with five jobs that wait for long, and a clean-up of two at a time that comes next."""
    for number in range(5):
        add(f"cron_{number}", every=timedelta(hours=1))
    runner = deploy()
    clock.advance(timedelta(hours=1))
    runner.tick()
    clock.advance(timedelta(minutes=10))
    while runner.rq.busy:
        runner.rq.reconcile(runner.states)
    for module in (reconciler, stranded):
        monkeypatch.setattr(module, "JOBS_PER_PIECE", 2)
    runner.rq.clean_up_next()
    return runner


def pieces_of(runner) -> int:
    runner.rq.reconcile(runner.states)
    count = 1
    while runner.rq.busy:
        runner.rq.reconcile(runner.states)
        count += 1
    return count


def test_a_clean_up_goes_on_in_pieces_and_its_pass_is_one(cleaning, monkeypatch):
    """Between two of them runs are handed over."""
    passes, begin = [], cleaning.rq.reconciler.begin
    monkeypatch.setattr(
        cleaning.rq.reconciler, "begin", lambda *a, **k: passes.append(begin(*a, **k))
    )
    assert pieces_of(cleaning) > 8
    assert len(passes) == 1
    assert pieces_of(cleaning) == 1, "the next one is not due"


def test_a_clean_up_that_takes_longer_than_from_one_to_the_next_ends(cleaning, monkeypatch):
    seconds = itertools.count(1e6, 60.0)  # a minute whenever somebody looks
    monkeypatch.setattr(clock_module, "monotonic_seconds", lambda: next(seconds))
    cleaning.rq.reconcile(cleaning.states)
    for _ in range(20):
        if not cleaning.rq.busy:
            break
        cleaning.rq.reconcile(cleaning.states)
    assert not cleaning.rq.busy


def test_a_clean_up_that_is_given_up_is_over(cleaning):
    cleaning.rq.reconcile(cleaning.states)
    assert cleaning.rq.busy
    cleaning.rq.give_up()
    assert not cleaning.rq.busy


def test_a_clean_up_that_fails_is_over(cleaning, monkeypatch):
    def fails(*args, **options):
        raise OSError("no file is left")

    monkeypatch.setattr(reconciler, "stranded", fails)
    with pytest.raises(OSError, match="no file"):
        pieces_of(cleaning)
    assert not cleaning.rq.busy
    monkeypatch.undo()
    assert pieces_of(cleaning) == 1, "the next one is not due"


def test_what_workers_wrote_is_drained_before_a_clean_up_begins(cleaning, monkeypatch):
    cleaned = []
    monkeypatch.setattr(reconciler, "clean_up_abandoned", cleaned.append)
    more = iter([True, True, False])
    monkeypatch.setattr(spool, "drain", lambda connection: ([], next(more)))
    for _ in range(2):
        cleaning.rq.reconcile(cleaning.states)
        assert not cleaned
    cleaning.rq.reconcile(cleaning.states)
    assert cleaned


def test_a_clean_up_in_pieces_looks_past_runs_that_end_meanwhile(cleaning, monkeypatch):
    names = list(cleaning.states.crons)
    asked = []
    monkeypatch.setattr(reconciler, "stranded", lambda _, requests: asked.append(requests) or [])
    for _ in range(2):  # RQ's own clean-up; the first two runs
        cleaning.rq.reconcile(cleaning.states)
    del cleaning.states.crons[names[-1]]
    cleaning.states.crons[names[-2]].open_runs.clear()
    pieces_of(cleaning)
    assert [request.cron for request in asked[0]] == names[:3]


@pytest.mark.parametrize("is_given_up", [True, False], ids=["given up", "done"])
def test_what_is_put_back_is_recorded_in_the_same_piece(
    cleaning, clock, redis_connection, is_given_up
):
    """So that a clean-up that is given up leaves nothing half done."""
    redis_connection.delete("rq:queue:default")
    pieces_of(cleaning)  # seen once
    cleaning.rq.clean_up_next()
    recorded = CronEvent.objects.of_type(EventType.RUN_ENQUEUED)
    before = recorded.count()
    while not redis_connection.llen("rq:queue:default"):
        cleaning.rq.reconcile(cleaning.states)
    assert recorded.count() == before + 5
    if is_given_up:
        cleaning.rq.give_up()
    elif cleaning.rq.busy:
        pieces_of(cleaning)

    clock.advance(timedelta(minutes=10))
    redis_connection.delete("rq:queue:default")  # taken by a worker, which is about to begin
    cleaning.rq.clean_up_next()
    pieces_of(cleaning)
    assert not redis_connection.llen("rq:queue:default"), "seen once since"
    cleaning.rq.clean_up_next()
    pieces_of(cleaning)
    assert redis_connection.llen("rq:queue:default") == 5


def test_what_is_decided_meanwhile_is_handed_over_before_anything_is_recorded(
    deploy, add, clock, monkeypatch, redis_connection
):
    """The database, which is asked once, holds up no job that may be in Redis already."""
    for name in ("one", "two", "three"):
        add(name, every=timedelta(seconds=1))
    runner = deploy()
    requests: list[RunRequest] = []
    monkeypatch.setattr(runner, "enqueue", requests.extend)
    clock.advance(timedelta(seconds=1))
    runner.tick()
    thread = RqThread(runner.rq, "", RightOfWay())
    hand_over, recorded = runner.rq.enqueuer.enqueue, []
    waiting = requests[1:]

    def also_decided(batch):
        thread.enqueue([waiting.pop()] if waiting else [])
        yield from hand_over(batch)

    def record(events):
        recorded.append((len(events), redis_connection.llen("rq:queue:default")))
        return append(events)

    append = store.append_next
    monkeypatch.setattr(runner.rq.enqueuer, "enqueue", also_decided)
    monkeypatch.setattr(store, "append_next", record)
    thread.enqueue(requests[:1])
    thread._step()
    assert recorded == [(3, 3)]
    assert CronEvent.objects.of_type("run_enqueued").count() == 3


def test_a_slow_redis_delays_what_is_recorded_by_a_bound(deploy, clock, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(clock_module, "monotonic_seconds", lambda: seconds[0])
    taken: list[int] = []

    def enqueue(requests, more):
        while requests:
            taken.append(len(requests))
            seconds[0] += 5
            thread.enqueue([SimpleNamespace(slot=None)])  # each second something is due
            requests = more()

    thread = RqThread(SimpleNamespace(enqueue=enqueue), "", RightOfWay())
    thread.enqueue([SimpleNamespace(slot=None)])
    thread._step()
    assert taken == [1]


def test_what_redis_took_is_recorded_though_the_next_ones_fail(deploy, add, clock, monkeypatch):
    for name in ("one", "two"):
        add(name, schedule="* * * * *")
    runner = deploy()
    requests: list[RunRequest] = []
    monkeypatch.setattr(runner, "enqueue", requests.extend)
    clock.advance(timedelta(minutes=1))
    runner.tick()

    def more():
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        runner.rq.enqueue(requests[:1], more)
    assert CronEvent.objects.of_type("run_enqueued").count() == 1


def test_what_waits_is_bounded(deploy, add, monkeypatch):
    monkeypatch.setattr(rq_threads, "REQUESTS_WAITING_MAX", 2)
    thread = RqThread(deploy().rq, "", RightOfWay())
    thread.enqueue([SimpleNamespace(slot=None)] * 3)
    assert len(thread._on_time) == 2, "the reconciler finds the rest"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)], ids=["error", "exit"])
def test_a_step_that_fails_is_tried_again_by_the_next_pass(beside, clock, caplog, error):
    runner, frozen = beside
    enqueue = runner.rq.enqueue
    failing = [error]

    def fail_once(requests, *more):
        if failing:
            raise failing.pop()
        return enqueue(requests, *more)

    runner.rq.enqueue = fail_once
    frozen.goes_on.set()
    clock.advance(timedelta(seconds=1))
    runner.tick()
    wait_until(lambda: not failing)
    clock.advance(timedelta(minutes=1))
    wait_until(lambda: runner._rq_threads.takes_a_pass)
    runner._reconciled_at = float("-inf")
    runner.tick()
    first = CronEvent.objects.of_type(EventType.SLOT_FIRED).first()
    wait_until(CronEvent.objects.for_run(first.run_id).of_type(EventType.RUN_ENQUEUED).exists)
    assert "rq_failed" in [record.action for record in caplog.records]


def test_a_run_that_is_handed_over_after_a_pass_was_asked_for_is_recorded_once(
    transactional_db, deploy, add, clock
):
    """Redis was frozen: the pass has a copy from before, in which the run is not in RQ."""
    add("report", every=timedelta(seconds=1))
    runner = deploy()
    held = []
    runner.enqueue = held.extend
    clock.advance(timedelta(seconds=1))
    runner.tick()
    before = runner.states.with_open_runs()
    clock.advance(timedelta(seconds=10))
    assert len(runner.rq.enqueue(held)) == 1
    assert runner.rq.reconcile(before) == set()
    assert CronEvent.objects.of_type(EventType.RUN_ENQUEUED).count() == 1
