"""A work-horse and its writer, on the two ends of a real socket; the writer in a thread of this process."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from django.conf import settings
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.job import Job
from rq.worker import SpawnWorker

from rqcron_events import clock
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Event, make
from rqcron_events.core.events.make import InRun
from rqcron_events.core.run_state import RunState
from rqcron_events.execution import spool
from rqcron_events.execution.attempt import Attempt, CurrentRun, begin, close
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.job_data import META_KEY, asked
from rqcron_events.execution.ledger_writer import channel, process
from rqcron_events.execution.ledger_writer import child as child_module
from rqcron_events.execution.ledger_writer.child import WriterChild
from rqcron_events.execution.ledger_writer.message import encode
from rqcron_events.execution.spool import INDEX_KEY
from rqcron_events.execution.work_horse import start as start_module
from rqcron_events.execution.work_horse.start import first_start
from rqcron_events.execution.work_horse.writer import give_writer
from rqcron_events.ledger import store
from rqcron_events.ledger.run_streams import read_run
from rqcron_events.models import CronEvent
from rqcron_events.registry import Registered, Registry
from rqcron_events.signals import event_appended
from tests.conformance.writing import Writer
from tests.processes import has_ended

NAME = "report"
RUN = UUID(int=9)
WORKER = "worker-1"
DEFINITION = Definition(name=NAME, function="nowhere:report", expression="* * * * *")
WAIT_SECONDS = 0.6
PLACE: InRun = {
    "cron": NAME, "run_id": RUN, "version": 1, "slot": None, "actor": "runner/1", "at": clock.now(),
}  # fmt: skip


@pytest.fixture
def fetch(redis_connection: Redis) -> Callable[[], Job]:
    """``fetch()`` is the run's job as a worker gets it; it is in the queue."""
    (results,) = Enqueuer().enqueue([RunRequest(run_id=RUN, definition=DEFINITION, slot=None)])
    assert not results[0].error
    return lambda: Job.fetch(job_id(RUN), connection=redis_connection)


@contextmanager
def writing(
    statements: list[str] | None = None, *, redis: Redis | None = None, ahead: Event | None = None
) -> Iterator[socket.socket]:
    """A writer, and this thread with a channel to it; yields the work-horse's end. ``ahead`` is asked for before
    it is there."""
    found = Redis.from_url(settings.REDIS_URL) if redis is None else redis

    def serve() -> None:
        with ExitStack() as stack:
            if statements is not None:
                connection.ensure_connection()
                seen = stack.enter_context(CaptureQueriesContext(connection))
            process.serve(its_control, found)
            if statements is not None:
                statements.extend(query["sql"] for query in seen)

    control, its_control = socket.socketpair()
    writer = Writer(serve)
    writer.start()
    with control, its_control:
        try:
            mine, its = socket.socketpair()
            assert ahead is None or channel.ask_ahead(mine, ahead)
            socket.send_fds(control, [process.NEW_CHANNEL], [its.fileno()])
            its.close()
            assert control.recv(1) == process.TAKEN_UP
            with mine, channel.offered(mine, ahead):
                yield mine
        finally:
            found.close()
            control.send(process.STOP)
            writer.finish()


@contextmanager
def nobody_answers(ahead: Event | None = None) -> Iterator[socket.socket]:
    """A channel whose other end is held and not read; yields that end."""
    mine, its = socket.socketpair()
    with mine, its, channel.offered(mine, ahead):
        yield its


def request_run() -> None:
    """So that the ledger knows of it, and takes what comes out of the spool."""
    request = make.run_requested(
        cron=NAME, version=0, run_id=RUN, slot=None, trigger="manual", of=None, reason="",
        actor="ann", at=clock.now(),
    )  # fmt: skip
    store.append_next([request])


def types() -> list[str]:
    return list(CronEvent.objects.for_run(RUN).order_by("id").values_list("type", flat=True))


def is_connected() -> bool:
    return connection.connection is not None


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which takes NUL and has no locks of this kind."""


@pytest.fixture
def short(settings: Any) -> None:
    """How long a job may be held up."""
    settings.RQCRON_WORKER_WAIT_SECONDS = WAIT_SECONDS


pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_costs_two_statements_one_look_into_redis_and_no_connection(fetch):
    store.append([make.run_enqueued(queue="default", job_id="x", found="", **PLACE)])
    job = fetch()
    connections.close_all()
    its_redis = Redis.from_url(settings.REDIS_URL)
    statements: list[str] = []
    announced: list[Any] = []

    def hear(event: Any, **_: Any) -> None:
        announced.append(event)

    event_appended.connect(hear)
    try:
        with (
            counted(its_redis) as looks,
            writing(statements, redis=its_redis),
            counted(job.connection) as commands,
        ):
            attempt = begin(job, NAME, RUN)
            close(attempt, make.run_succeeded)
            assert not is_connected()
    finally:
        event_appended.disconnect(hear)
    assert (attempt.closed, attempt.run.attempt, attempt.state.version) == (True, 1, 2)
    assert types() == ["run_enqueued", "run_started", "run_succeeded"]
    assert [statement.split()[0] for statement in statements] == ["INSERT", "INSERT"], statements
    assert ([command[0] for command in looks], commands) == (["EXISTS"], [])
    rows = [row.to_event() for row in CronEvent.objects.filter(version__gt=1)]
    assert [(e.type, e.version, e.data) for e in announced] == [
        (row.type, row.version, row.data) for row in rows
    ]


@contextmanager
def counted(connection: Redis) -> Iterator[list[tuple[Any, ...]]]:
    """The commands that go to Redis, each in a round trip of its own."""
    commands: list[tuple[Any, ...]] = []
    execute = connection.execute_command

    def execute_counted(*arguments: Any, **options: Any) -> Any:
        commands.append(arguments)
        return execute(*arguments, **options)

    connection.execute_command = execute_counted  # type: ignore[method-assign]
    try:
        yield commands
    finally:
        del connection.execute_command  # type: ignore[method-assign]


def test_without_a_writer_a_run_begins_with_one_statement_and_one_look_into_redis(fetch):
    store.append([make.run_enqueued(queue="default", job_id="x", found="", **PLACE)])
    job = fetch()
    with CaptureQueriesContext(connection) as statements, counted(job.connection) as commands:
        attempt = begin(job, NAME, RUN)
    assert [query["sql"].split()[0] for query in statements] == ["INSERT"]
    assert [command[0] for command in commands] == ["EXISTS"]
    assert (attempt.closed, attempt.run.attempt, attempt.state.version) == (False, 1, 2)
    close(attempt, make.run_succeeded)
    assert types() == ["run_enqueued", "run_started", "run_succeeded"]


def test_a_caller_in_a_transaction_has_the_start_in_it(fetch):
    """In tests, and in queues that run jobs at once."""
    job = fetch()
    with transaction.atomic():
        begin(job, NAME, RUN)
        transaction.set_rollback(True)
    assert types() == []


def test_run_enqueued_that_comes_after_the_start_costs_no_connection_either(fetch):
    with writing():
        attempt = begin(fetch(), NAME, RUN)
        store.append_next([make.run_enqueued(queue="default", job_id="x", found="", **PLACE)])
        connections.close_all()
        close(attempt, make.run_succeeded)
        assert not is_connected()
    assert types() == ["run_started", "run_enqueued", "run_succeeded"]


def test_a_run_that_has_begun_goes_the_full_way(fetch):
    begin(fetch(), NAME, RUN)
    with writing():
        assert begin(fetch(), NAME, RUN).closed
    assert types() == ["run_started", "start_refused"]


UNREADABLE: dict[str, dict[str, Any]] = {
    "a gap, and a type that nobody knows": {"version": 2, "type": "run_applauded"},
    "run_enqueued of a newer release": {"schema_version": 9},
    "run_enqueued whose data is a list": {"data": []},
    "run_enqueued with retries that are text": {"data": {"retries_left": "many"}},
    "run_enqueued with an entry's id that is none": {"data": {"spooled": {}}},
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_run_of_which_something_cannot_be_read_is_not_started(rows_of_before, what, fetch):
    columns = {"version": 1, "type": "run_enqueued", "data": {}, **UNREADABLE[what]}
    CronEvent(stream=f"run/{RUN}", cron=NAME, run_id=RUN, occurred_at=clock.now(), **columns).save()
    with writing():
        assert begin(fetch(), NAME, RUN).closed
    assert CronEvent.objects.order_by("id").last().reason == "unreadable"


def test_what_waits_in_the_spool_goes_the_full_way(fetch, redis_connection):
    """I4: its success may be among it."""
    request_run()
    spool.push(redis_connection, make.run_succeeded(attempt=1, **PLACE))
    with writing():
        assert begin(fetch(), NAME, RUN).closed
    assert types() == ["run_requested", "run_succeeded", "start_refused"]


def test_an_end_that_somebody_else_recorded_is_not_recorded_again(fetch):
    with writing():
        attempt = begin(fetch(), NAME, RUN)
        lost = make.run_lost(attempt=1, found="gone", **{**PLACE, "version": 2})
        store.append([lost])
        close(attempt, make.run_succeeded)
    assert types() == ["run_started", "run_lost"]


def test_an_end_that_the_database_never_takes_reaches_the_spool(
    postgresql, fetch, redis_connection
):
    """The writer's error is the work-horse's."""
    with writing():
        attempt = begin(fetch(), NAME, RUN)
        close(attempt, partial(make.run_succeeded, worker="a\0b"))
    assert spool.spooled_types(redis_connection, RUN) == []  # nor does that take it
    assert redis_connection.llen(f"{INDEX_KEY}:{RUN}") == 1


UNANSWERED = ("closed", "full", "slow", "gone", "nonsense", "another file")


@contextmanager
def trouble(what: str) -> Iterator[None]:
    with nobody_answers() as its, ExitStack() as stack:
        mine = channel.current()._socket
        if what == "closed":
            mine.close()
        elif what == "full":
            mine.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    mine.send(b" " * 4096)
        elif what == "gone":
            its.close()
        elif what == "nonsense":
            its.send(b"perhaps\n")
        elif what == "another file":
            number = mine.fileno()
            other, reader = socket.socketpair()
            with other:
                os.dup2(other.fileno(), number)
            stack.enter_context(reader)
        yield
        if what == "another file":
            os.close(number)  # it is still there, and nothing was said to it
            assert reader.recv(1) == b""


@pytest.mark.parametrize("what", UNANSWERED)
def test_a_work_horse_that_is_not_answered_writes_by_itself(what, fetch, short, redis_connection):
    with trouble(what):
        attempt = begin(fetch(), NAME, RUN)
        assert not attempt.closed
        close(attempt, make.run_succeeded)
    assert types() == ["run_started", "run_succeeded"]
    assert not redis_connection.exists(INDEX_KEY)


def test_a_start_that_the_writer_commits_late_is_the_work_horses_own(fetch, short, monkeypatch):
    """It finds it in the log, and goes on: no second start, and no refusal."""
    read = start_module.read_run
    with nobody_answers() as its:

        def read_after_it(run_id: UUID) -> RunState:
            write_late(its)
            return read(run_id)

        with monkeypatch.context() as late:
            late.setattr(start_module, "read_run", read_after_it)
            attempt = begin(fetch(), NAME, RUN)
        assert not attempt.closed
        close(attempt, make.run_succeeded)
    assert types() == ["run_started", "run_succeeded"]


def test_a_start_that_the_writer_commits_after_it_was_spooled_is_there_once(
    fetch, short, redis_connection, monkeypatch
):
    request_run()
    with nobody_answers() as its:
        with monkeypatch.context() as away:
            away.setattr("rqcron_events.execution.work_horse.start.read_run", _away)
            attempt = begin(fetch(), NAME, RUN)
        assert spool.spooled_types(redis_connection, RUN) == ["run_started"]
        write_late(its)
        close(attempt, partial(make.attempt_failed, retries_left=1))
    spool.drain(redis_connection)
    assert types() == ["run_requested", "run_started", "attempt_failed"]
    assert not redis_connection.exists(INDEX_KEY)


def test_an_end_that_the_writer_commits_after_it_was_spooled_is_there_once(
    fetch, short, redis_connection, monkeypatch
):
    request_run()
    attempt = begin(fetch(), NAME, RUN)
    with nobody_answers() as its:
        with monkeypatch.context() as away:
            away.setattr("rqcron_events.execution.attempt.append_to_run", _away)
            close(attempt, partial(make.attempt_failed, retries_left=1))
        assert spool.spooled_types(redis_connection, RUN) == ["attempt_failed"]
        write_late(its)
    spool.drain(redis_connection)
    assert types() == ["run_requested", "run_started", "attempt_failed"]


def test_an_end_that_the_writer_comes_to_in_the_next_attempt_ends_not_that_one(fetch, short):
    """It was frozen, so its work-horse has written the end by itself."""
    attempt = begin(fetch(), NAME, RUN)
    with nobody_answers() as its:
        close(attempt, partial(make.attempt_failed, retries_left=1))
        second = begin_next_attempt()
        write_late(its)
    assert types() == ["run_started", "attempt_failed", "run_started"]
    assert read_run(RUN).running
    with writing():
        close(second, partial(make.attempt_failed, retries_left=0))
    assert attempts_failed() == [1, 2]


@pytest.mark.parametrize("by", [writing, ExitStack], ids=["by its writer", "by itself"])
def test_a_work_horse_that_was_frozen_ends_its_own_attempt_only(by, fetch):
    """RQ has given its job up, and the next attempt is at work."""
    attempt = begin(fetch(), NAME, RUN)
    dead = make.attempt_died(attempt=1, retries_left=2, **{**PLACE, "version": 2})
    store.append([dead])
    second = begin_next_attempt()
    with by():
        close(attempt, partial(make.attempt_failed, retries_left=1))
    assert read_run(RUN).running
    close(second, partial(make.attempt_failed, retries_left=0))
    assert attempts_failed() == [1, 2]


def begin_next_attempt() -> Attempt:
    """In another worker, which does not know this one's writer."""
    state = read_run(RUN)
    started = make.run_started(
        attempt=2, retries_left=1, job_created_at="", job_enqueued_at="",
        **{**PLACE, "version": state.version + 1},
    )  # fmt: skip
    store.append([started])
    run = CurrentRun(cron=NAME, run_id=RUN, slot=None, attempt=2)
    job = Job.fetch(job_id(RUN), connection=Redis.from_url(settings.REDIS_URL))
    return Attempt(run, job, read_run(RUN), clock.monotonic_seconds(), "worker/2")


def attempts_failed() -> list[int]:
    failed = CronEvent.objects.for_run(RUN).of_type("attempt_failed").order_by("id")
    return list(failed.values_list("attempt", flat=True))


def _away(*_: Any) -> None:
    raise OperationalError("no connection")


def write_late(end: socket.socket, ahead: Event | None = None) -> None:
    """The writer does what it was asked for when nobody waits any more; it had looked into the spool in time."""
    ask = encode(ahead) if ahead is not None else end.recv(1 << 16)
    writer = Writer(
        lambda: process._answer(ask, Redis.from_url(f"{settings.REDIS_URL.rpartition('/')[0]}/15"))
    )
    writer.start()
    writer.finish()


def test_a_transaction_that_the_function_left_open_is_ended_before_the_writer_is_asked(
    postgresql, fetch
):
    """It may hold a lock on the log, for which the writer would wait."""
    with writing() as mine:
        attempt = begin(fetch(), NAME, RUN)
        left = transaction.atomic()
        left.__enter__()
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE rqcron_event IN ACCESS EXCLUSIVE MODE")
        close(attempt, make.run_succeeded)
        assert mine.fileno() > 0
        assert channel.current()._is_open, "it was answered"
        assert not is_connected()
    assert types() == ["run_started", "run_succeeded"]


# What the worker asks for before it forks.


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """This code has the cron."""
    found = Registry(discovered=True)
    found.crons[NAME] = Registered(definition=DEFINITION, function=print)
    monkeypatch.setattr(start_module, "registry", found)
    return found


def as_prepared(job: Job) -> Job:
    """As RQ has it in the work-horse, once it is prepared."""
    job.worker_name = WORKER
    return job


def test_a_start_that_was_asked_for_before_the_fork_is_not_asked_for_again(known, fetch):
    job = fetch()
    ahead = first_start(job, WORKER)
    statements: list[str] = []
    with writing(statements, ahead=ahead) as mine:
        assert select.select([mine], [], [], 10)[0], "it is written before the work-horse is there"
        assert types() == ["run_started"]
        attempt = begin(as_prepared(job), NAME, RUN)
        close(attempt, make.run_succeeded)
    assert [statement.split()[0] for statement in statements] == ["INSERT", "INSERT"], statements
    row = CronEvent.objects.get(version=1)
    assert (row.cron, row.attempt, row.actor) == (NAME, 1, f"worker/{WORKER}")
    assert types() == ["run_started", "run_succeeded"]


NOT_AHEAD: dict[str, Callable[[Registry, Job], None]] = {
    "a cron that this code does not have": lambda known, job: known.crons.clear(),
    "a description of somebody else": lambda known, job: setattr(job, "description", "report"),
    "another function": lambda known, job: job.meta[META_KEY].update(function="nowhere:other"),
    "a meta that is no mapping": lambda known, job: setattr(job, "meta", []),
}


@pytest.mark.parametrize("what", NOT_AHEAD)
def test_what_has_more_to_it_than_to_begin_is_left_to_the_work_horse(what, known, fetch):
    job = fetch()
    NOT_AHEAD[what](known, job)
    assert first_start(job, WORKER) is None


def test_what_waits_in_the_spool_is_judged_although_a_start_was_asked_for_before_the_fork(
    known, fetch, redis_connection
):
    """I4: its success may be among it."""
    request_run()
    spool.push(redis_connection, make.run_succeeded(attempt=1, **PLACE))
    job = fetch()
    with writing(ahead=first_start(job, WORKER)):
        assert begin(as_prepared(job), NAME, RUN).closed
    assert types() == ["run_requested", "run_succeeded", "start_refused"]


def test_without_redis_the_writer_leaves_the_start_to_the_work_horse(known, fetch):
    job = fetch()
    with writing(redis=Redis(port=1), ahead=first_start(job, WORKER)):
        attempt = begin(as_prepared(job), NAME, RUN)
        assert is_connected()
        close(attempt, make.run_succeeded)
    assert types() == ["run_started", "run_succeeded"]


def test_a_work_horse_with_another_start_than_was_asked_for_writes_its_own(known, fetch, short):
    """Only a job that somebody changed meanwhile comes to this: the answer would be to another question."""
    job = fetch()
    with nobody_answers(first_start(job, WORKER)):
        job.worker_name = "another"
        attempt = begin(job, NAME, RUN)
        close(attempt, make.run_succeeded)
    assert list(CronEvent.objects.values_list("actor", flat=True)) == ["worker/another"] * 2
    assert types() == ["run_started", "run_succeeded"]


def test_a_start_asked_for_before_the_fork_that_is_committed_after_it_was_spooled_is_there_once(
    known, fetch, short, redis_connection, monkeypatch
):
    request_run()
    job = fetch()
    ahead = first_start(job, WORKER)
    with nobody_answers(ahead) as its:
        with monkeypatch.context() as away:
            away.setattr("rqcron_events.execution.work_horse.start.read_run", _away)
            attempt = begin(as_prepared(job), NAME, RUN)
        assert spool.spooled_types(redis_connection, RUN) == ["run_started"]
        write_late(its, ahead)
        close(attempt, partial(make.attempt_failed, retries_left=1))
    spool.drain(redis_connection)
    assert types() == ["run_requested", "run_started", "attempt_failed"]
    assert not redis_connection.exists(INDEX_KEY)


# The process beside a worker. What a work-horse would do is done by this one.


class Forks(Worker):
    """A project's own class."""

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        name, run_id = asked(job)
        close(begin(job, name, run_id), make.run_succeeded)


@pytest.fixture
def child() -> Iterator[WriterChild]:
    found = WriterChild(first_start)
    yield found
    found.stop()


@pytest.fixture
def work(child: WriterChild, redis_connection: Redis) -> Callable[[], bool]:
    """``work()`` runs a new run, and tells whether the writer wrote for it."""
    queue = Queue(connection=redis_connection)
    worker = child.watch(Forks([queue]))

    def run() -> bool:
        run_id = uuid4()
        list(Enqueuer().enqueue([RunRequest(run_id=run_id, definition=DEFINITION, slot=None)]))
        connections.close_all()
        worker.fork_work_horse(Job.fetch(job_id(run_id), connection=redis_connection), queue)
        by_writer = connection.connection is None
        events = CronEvent.objects.for_run(run_id).order_by("version")
        assert [event.type for event in events] == ["run_started", "run_succeeded"]
        return by_writer

    return run


forks = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
"""As RQ does for each job."""


@forks
def test_one_process_writes_for_each_work_horse_of_a_worker(child, work):
    assert work()
    first = child._pid
    assert work()
    assert child._pid == first > 0
    child.stop()
    assert not psutil.pid_exists(first)


@forks
def test_a_writer_that_was_killed_is_started_again_after_a_pause(child, work, monkeypatch):
    assert work()
    first = child._pid
    os.kill(first, signal.SIGKILL)
    psutil.Process(first).wait(10)
    assert not work()
    monkeypatch.setattr(child_module, "RESTART_SECONDS", 0)
    assert work()
    assert child._pid != first


@forks
def test_a_writer_that_hangs_is_replaced(short, child, work, monkeypatch):
    assert work()
    monkeypatch.setattr(child_module, "RESTART_SECONDS", 0)
    first = child._pid
    os.kill(first, signal.SIGSTOP)
    while child._pid == first:
        by_writer = work()
    assert by_writer
    assert not psutil.pid_exists(first)


@forks
def test_a_writer_ends_when_it_loses_its_worker(child, work):
    assert work()
    child._control.close()
    psutil.Process(child._pid).wait(10)


class AsItComes(Worker):
    """RQ's ways."""


@pytest.mark.parametrize("kind", [Worker, AsItComes, Forks])
def test_a_class_with_ways_of_its_own_to_the_function_asks_for_nothing_before_them(
    kind, child, known, fetch, redis_connection, monkeypatch
):
    offered: list[Any] = []

    @contextmanager
    def instead(ahead: Event | None) -> Iterator[None]:
        offered.append(ahead)
        with monkeypatch.context() as nothing:
            nothing.setattr(os, "fork", lambda: 1)
            yield

    monkeypatch.setattr(child, "_channel", instead)
    worker = child.watch(kind([Queue(connection=redis_connection)], name=WORKER))
    worker.fork_work_horse(fetch(), worker.queues[0])
    assert [event is not None for event in offered] == [kind is not Forks]


def test_other_jobs_have_no_writer(child, redis_connection):
    class Tells(Worker):
        def fork_work_horse(self, job: Job, queue: Queue) -> None:
            told.append(channel.current())

    told: list[Any] = []
    queue = Queue(connection=redis_connection)
    child.watch(Tells([queue])).fork_work_horse(queue.create_job(print), queue)
    assert (told, child._pid) == ([None], 0)


@pytest.mark.parametrize("what", ["fork", "pair"])
@forks
def test_a_worker_that_cannot_have_a_writer_works_without_and_heeds_signals(
    what, child, work, monkeypatch, caplog
):
    if what == "fork":
        fork, forked = os.fork, []

        def refused() -> int:
            forked.append(1)
            if len(forked) == 1:  # the writer's
                raise BlockingIOError("no process is left")
            return fork()

        monkeypatch.setattr(os, "fork", refused)
    else:
        assert work()
        monkeypatch.setattr(child_module.socket, "socketpair", _none_left)
    assert not work()
    assert "writer_missing" in [record.action for record in caplog.records]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGTERM, signal.SIGINT}


def _none_left() -> None:
    raise OSError("too many files are open")


@forks
def test_the_writer_of_a_plain_worker_ends_with_its_work(redis_connection, monkeypatch):
    monkeypatch.setattr(start_module, "first_start", lambda *_: None)
    worker = Forks([Queue(connection=redis_connection)])
    give_writer(worker)
    give_writer(worker)  # it has one
    list(Enqueuer().enqueue([RunRequest(run_id=uuid4(), definition=DEFINITION, slot=None)]))
    worker.fork_work_horse(worker.queues[0].jobs[0], worker.queues[0])
    (writer,) = [it for it in psutil.Process().children() if it.name() == "rqcron-writer"]
    assert not has_ended(writer)
    worker.teardown()
    assert has_ended(writer)


@pytest.mark.parametrize("kind", [SimpleWorker, SpawnWorker])
def test_workers_without_a_fork_are_left_as_they_are(kind, child, redis_connection):
    worker = kind([Queue(connection=redis_connection)])
    assert "fork_work_horse" not in vars(child.watch(worker))
