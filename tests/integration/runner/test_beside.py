"""What the deciding thread has others do beside it, it hands over in no time."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import EventType, make
from rqcron_events.core.events.make import InCron, InRun
from rqcron_events.execution.run_request import RunRequest
from rqcron_events.leadership.lease import Lease
from rqcron_events.ledger import cron_states, snapshot, store
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent, CronSnapshot
from rqcron_events.process.right_of_way import RightOfWay
from rqcron_events.runner import pace, rq_threads, snapshot_thread
from rqcron_events.runner.loop import Loop
from rqcron_events.runner.rq_threads import RqThread
from rqcron_events.runner.runner import Runner
from tests.integration.conftest import MINUTE

WAIT_SECONDS_MAX = 10.0


def wait_until(condition) -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def runner(transactional_db, deploy, add, clock):
    """It has handed over one run of each of two crons; a third one is not due."""
    for name in ("one", "two", "idle"):
        add(name, schedule="@yearly" if name == "idle" else "* * * * *")
    found = deploy()
    clock.advance(MINUTE)
    found.tick()
    found.tick()  # that they are enqueued is folded
    return found


def end(run, clock) -> None:
    place = {"cron": "one", "run_id": run.run_id, "slot": run.slot, "actor": "worker/1"}
    ended = make.run_succeeded(
        attempt=1, duration_seconds=0.1, **InRun(version=3, at=clock.now, **place)
    )
    store.append_next([ended])


def test_a_copy_of_the_open_runs_is_made_of_what_changed_since(runner, clock):
    states = runner.states
    known = states.with_open_runs()
    assert known.crons.keys() == {"one", "two"}
    assert states.with_open_runs(known.changes).crons == {}
    (run,) = states.crons["one"].open_runs.values()
    assert known.crons["one"].open_runs[run.run_id] is run, "runs are not copied"
    end(run, clock)
    states.follow()
    assert known.crons["one"].open_runs, "it is a copy"
    newer = states.with_open_runs(known.changes)
    assert newer.crons.keys() == {"one"}
    known.take(newer)
    assert known.crons.keys() == {"two"}
    assert known.crons["two"] == states.crons["two"]


def test_a_pass_looks_at_runs_of_which_nothing_was_heard_since_the_last_one(
    runner, clock, redis_connection
):
    """Their jobs vanish without a word."""
    runner.work_with_rq_beside()
    try:
        for _ in range(2):
            runner._reconciled_at = float("-inf")
            runner.tick()
            wait_until(lambda: runner._rq_threads.takes_a_pass)
        redis_connection.flushdb()
        clock.advance(timedelta(seconds=20))  # no slot is due
        again = CronEvent.objects.of_type(EventType.RUN_ENQUEUED).filter(data__has_key="found")
        runner._reconciled_at = float("-inf")
        runner.tick()
        wait_until(lambda: set(again.values_list("cron", flat=True)) == {"one", "two"})
    finally:
        runner._rq_threads.stop()


def test_decisions_go_on_while_a_flood_of_events_is_read(runner, clock, monkeypatch):
    monkeypatch.setattr(cron_states, "PAGE_EVENTS", 5)
    place = {"cron": "idle", "actor": "ann"}
    asked = [
        make.run_requested(
            run_id=UUID(int=number),
            slot=None,
            trigger="manual",
            reason="a flood",
            **InCron(version=1 + number, at=clock.now, **place),
        )
        for number in range(1, 13)
    ]
    store.append(asked)
    decided = CronEvent.objects.of_type(EventType.SLOT_FIRED)
    clock.advance(MINUTE)
    assert runner.tick() == 0, "there is more to read"
    assert decided.count() == 4, "what is due was decided before all was read"
    assert len(runner.states.crons["idle"].open_runs) == 5, "a page"
    runner.tick()
    assert len(runner.states.crons["idle"].open_runs) == 12, "nothing is due, so all"


def test_who_was_not_at_the_end_for_long_reads_on_though_something_is_due(
    runner, clock, monkeypatch
):
    monkeypatch.setattr(cron_states, "PAGE_EVENTS", 5)
    place = {"cron": "idle", "actor": "ann"}
    store.append([
        make.run_requested(
            run_id=UUID(int=number), slot=None, trigger="manual", reason="a flood",
            **InCron(version=1 + number, at=clock.now, **place),
        )
        for number in range(1, 13)
    ])  # fmt: skip
    clock.advance(MINUTE)
    runner._pace = pace.Pace()  # as after more than two seconds
    runner.tick()
    assert len(runner.states.crons["idle"].open_runs) == 12


@pytest.fixture
def held(runner, monkeypatch):
    """A snapshot is being saved, and does not get on until it is let go."""
    begun, goes_on = threading.Event(), threading.Event()
    make_head = snapshot._head

    def wait(*args):
        begun.set()
        goes_on.wait(WAIT_SECONDS_MAX)
        return make_head(*args)

    monkeypatch.setattr(snapshot, "_head", wait)
    runner.save_beside()
    runner._saved_at = float("-inf")
    runner.tick()
    assert begun.wait(WAIT_SECONDS_MAX)
    yield goes_on
    goes_on.set()
    runner._saver.stop()


def test_decisions_go_on_while_a_snapshot_is_saved_and_it_is_that_of_its_moment(
    runner, held, clock, caplog
):
    decided = CronEvent.objects.of_type(EventType.SLOT_FIRED)
    before, position = decided.count(), runner.states.position
    clock.advance(MINUTE)
    runner.tick()
    assert decided.count() == before + 2
    assert not runner._saver.is_idle, "all that was meanwhile"
    held.set()
    wait_until(lambda: runner._saver.is_idle)
    assert CronSnapshot.objects.get(name="").position == position
    runner.tick()
    assert States.load().crons == runner.states.crons
    assert not caplog.records


def test_a_stop_leaves_a_snapshot_that_takes_long(runner, held, monkeypatch):
    monkeypatch.setattr(snapshot_thread, "STOP_SECONDS", 0.05)
    runner.stop()
    assert not runner._saver.is_idle
    assert CronEvent.objects.of_type(EventType.RUNNER_STOPPED).exists()


def test_a_snapshot_of_somebody_else_is_not_written_over_in_part(runner, clock, caplog):
    """Two processes, each of which takes itself for the leader for a while."""
    runner.states.save_snapshot(lambda: True)
    other = States.load()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
        runner.tick()
    assert runner.states.save_snapshot(lambda: True)
    other.follow()
    assert not other.save_snapshot(lambda: True)
    assert States.load().crons == runner.states.crons
    assert other.save_snapshot(lambda: True), "the next one replaces all of it"
    assert States.load().crons == runner.states.crons
    assert not caplog.records


class Side:
    """Takes a second for each step of a pass that never ends."""

    busy = True

    def __init__(self, repaired: set[str] | None = None) -> None:
        self.repaired, self.handed = repaired or set(), 0
        self.seconds = 0.0

    def reconcile(self, states: States) -> set[str]:
        self.seconds += 1
        return self.repaired

    def enqueue(self, requests, more) -> None:
        self.handed += len(requests)


@pytest.mark.parametrize(("repaired", "rests"), [(set(), rq_threads.REST_STEPS), ({"one"}, 0)])
def test_a_long_pass_leaves_the_interpreter_to_who_decides_while_all_is_well(
    monkeypatch, repaired: set[str], rests: int
):
    """20,000 open runs of one cron made the slots of all others late."""
    thread = RqThread(side := Side(repaired), "redis", RightOfWay())
    monkeypatch.setattr(rq_threads.clock, "monotonic_seconds", lambda: side.seconds)
    thread.reconcile(States())
    assert thread._step() == rests


def test_what_comes_due_in_a_rest_is_handed_over_at_once(monkeypatch):
    monkeypatch.setattr(rq_threads, "REST_SECONDS_MAX", WAIT_SECONDS_MAX * 2)
    thread = RqThread(side := Side(), "redis", RightOfWay())
    thread.reconcile(States())
    thread._step()
    resting = threading.Thread(target=thread._rest, args=(WAIT_SECONDS_MAX * 2,))
    resting.start()
    definition = Definition(name="one", function="a:b", expression="* * * * *")
    thread.enqueue([RunRequest(run_id=UUID(int=1), definition=definition, slot=None)])
    resting.join(WAIT_SECONDS_MAX)
    assert not resting.is_alive()
    thread._step()
    assert side.handed == 1


@contextmanager
def running(thread: RqThread, side: Side, way: RightOfWay) -> Iterator[None]:
    thread.start()
    try:
        yield
    finally:
        side.busy = False
        thread.request_stop()
        way.due_in(1)
        thread.join(WAIT_SECONDS_MAX)


def test_a_step_of_a_pass_begins_when_what_is_due_within_it_is_decided(monkeypatch):
    monkeypatch.setattr(RightOfWay, "DECIDING_SECONDS", WAIT_SECONDS_MAX * 2)
    thread = RqThread(side := Side(), "redis", way := RightOfWay())
    stepped = threading.Event()
    side.reconcile = lambda states: stepped.set() or set()
    thread._pass_seconds = 0.4
    way.due_in(0.1)
    thread.reconcile(States())
    with running(thread, side, way):
        assert not stepped.wait(0.3)
        way.due_in(1)
        assert stepped.wait(WAIT_SECONDS_MAX)


def test_runs_that_are_on_time_end_the_wait_of_a_pass(monkeypatch):
    monkeypatch.setattr(RightOfWay, "DECIDING_SECONDS", WAIT_SECONDS_MAX * 2)
    thread = RqThread(side := Side(), "redis", way := RightOfWay())
    waits, handed = threading.Event(), threading.Event()
    side.enqueue = lambda requests, more: handed.set()
    give = way.give
    way.give = lambda *args, **options: waits.set() or give(*args, **options)
    thread._pass_seconds = 0.4
    way.due_in(0)
    thread.reconcile(States())
    with running(thread, side, way):
        assert waits.wait(WAIT_SECONDS_MAX)
        definition = Definition(name="one", function="a:b", expression="* * * * *")
        thread.enqueue([RunRequest(run_id=UUID(int=1), definition=definition, slot=None)])
        assert handed.wait(WAIT_SECONDS_MAX)


def test_a_pass_is_put_off_for_a_second_at_most_where_there_is_always_something_due(monkeypatch):
    thread = RqThread(side := Side(), "redis", way := RightOfWay())
    given: list[float] = []
    monkeypatch.setattr(rq_threads.clock, "monotonic_seconds", lambda: side.seconds)
    monkeypatch.setattr(way, "give", lambda seconds, unless: given.append(seconds))
    thread._give_way()
    side.seconds += rq_threads.PUT_OFF_SECONDS_MAX
    assert not given, "there is no pass, so none is put off"
    thread.reconcile(States())
    thread._give_way()
    side.seconds += rq_threads.PUT_OFF_SECONDS_MAX / 2
    thread._give_way()
    side.seconds += rq_threads.PUT_OFF_SECONDS_MAX / 2
    thread._give_way()
    assert len(given) == 2
    thread._step()
    thread._give_way()
    assert len(given) == 3, "the next step gives way, too"


def test_the_loop_says_until_when_nothing_is_due(
    transactional_db, redis_connection, crons, monkeypatch
):
    runner = Runner()
    loop = Loop(runner)
    said: list[float] = []
    monkeypatch.setattr(loop, "_turn", lambda: 0.25)
    monkeypatch.setattr(loop, "finish", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(
        RightOfWay, "due_in", lambda self, seconds: said.append(seconds) or loop.stop()
    )
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    monkeypatch.setattr("rqcron_events.runner.loop._connect_within", lambda seconds: None)
    loop.run()
    assert said == [0.25]


def test_a_snapshot_is_made_in_pieces_that_begin_when_what_is_due_meanwhile_is_decided(
    runner, monkeypatch
):
    pieces: list[float] = []
    monkeypatch.setattr(RightOfWay, "give", lambda self, seconds: pieces.append(seconds))
    thread = snapshot_thread.SnapshotThread(lambda: True, RightOfWay())
    monkeypatch.setattr(snapshot_thread, "PIECE_SECONDS", 0.0)
    rests: list[float] = []
    monkeypatch.setattr(thread._hurries, "wait", rests.append)
    thread._unsaved = runner.states.unsaved()
    thread._save()
    assert len(pieces) > 2
    assert len(rests) == len(pieces), "it shares the interpreter with who decides"
    assert 0 < max(rests) <= snapshot_thread.REST_SECONDS_MAX
    thread.stop()
    assert thread._hurries.is_set(), "a stop waits for it"
    pieces.clear()
    monkeypatch.setattr(snapshot_thread, "PIECE_SECONDS", 60.0)
    thread._unsaved = runner.states.unsaved()
    thread._save()
    assert not pieces, "it has just asked"


@pytest.mark.parametrize("fresh", [True, False])
def test_what_is_due_is_decided_before_a_fresh_lease_is_renewed(runner, clock, monkeypatch, fresh):
    """Its row may be locked by somebody else."""
    order: list[str] = []
    hold, decide = runner.lease.hold, runner._decide_slice
    monkeypatch.setattr(runner.lease, "hold", lambda: order.append("lease") or hold())
    monkeypatch.setattr(
        runner, "_decide_slice", lambda *how: order.append("decide") or decide(*how)
    )
    monkeypatch.setattr(Lease, "is_fresh", fresh)
    clock.advance(MINUTE)
    runner.tick()
    assert order == (["decide", "lease"] if fresh else ["lease", "decide", "lease"])
