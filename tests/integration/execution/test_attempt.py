"""The start of a job in this process, where other writers meet it on the run's stream."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from functools import partial
from uuid import UUID

import pytest
from django.db import DatabaseError, OperationalError, ProgrammingError, connection, transaction
from rq.job import Job

from rqcron_events import clock
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Event, make
from rqcron_events.execution import attempt as attempt_module
from rqcron_events.execution import ledger_session, spool
from rqcron_events.execution.attempt import begin, close
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.spool import INDEX_KEY, drain, push, run_key
from rqcron_events.execution.spool_entry import write
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from tests.conformance.writing import Writer

NAME = "report"
RUN = UUID(int=9)
STARTS = 4


@pytest.fixture
def fetch(redis_connection):
    """``fetch()`` is the run's job as a worker gets it; it is in the queue."""
    definition = Definition(name=NAME, function="nowhere:report", expression="* * * * *")
    (results,) = Enqueuer().enqueue([RunRequest(run_id=RUN, definition=definition, slot=None)])
    assert not results[0].error
    return lambda: Job.fetch(job_id(RUN), connection=redis_connection)


def types(run_id: UUID) -> list[str]:
    return list(CronEvent.objects.for_run(run_id).order_by("id").values_list("type", flat=True))


@pytest.mark.django_db(transaction=True)
def test_of_starts_at_the_same_moment_one_begins_and_the_others_know_why_not(
    fetch, redis_connection
):
    """I4: who is refused by the database reads the run again and judges it again."""
    together = threading.Barrier(STARTS)
    attempts = []

    def start() -> None:
        job = fetch()
        together.wait(30)
        attempts.append(begin(job, NAME, RUN))

    writers = [Writer(start) for _ in range(STARTS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.finish()
    assert [attempt.closed for attempt in attempts].count(False) == 1
    assert sorted(types(RUN)) == ["run_started"] + ["start_refused"] * (STARTS - 1)
    reasons = CronEvent.objects.of_type("start_refused").values_list("reason", flat=True)
    assert set(reasons) == {"already_running"}
    assert not redis_connection.exists(INDEX_KEY)


@pytest.mark.django_db
def test_a_run_that_ends_while_its_next_attempt_is_judged_begins_as_a_new_run(fetch):
    """I5: the reconciler gives the dead attempt up between the worker's look and its append."""
    begin(fetch(), NAME, RUN)
    job = fetch()
    job.enqueued_at = clock.now()  # RQ put it into the queue once more
    lost = make.run_lost(
        cron=NAME,
        run_id=RUN,
        version=2,
        slot=None,
        attempt=1,
        found="RQ has no such job",
        actor="runner/1",
        at=clock.now(),
    )

    def overtaken() -> list[object]:
        if not CronEvent.objects.of_type("run_lost").exists():
            store.append([lost])
        return []

    job.get_executions = overtaken
    attempt = begin(job, NAME, RUN)
    assert not attempt.closed
    assert types(RUN) == ["run_started", "run_lost"]
    requested = CronEvent.objects.get(type="run_requested")
    assert (requested.run_id, requested.data["of"]) == (attempt.run.run_id, str(RUN))
    assert types(attempt.run.run_id) == ["run_requested", "run_started"]
    assert attempt.run.attempt == 1


def asked() -> None:
    """The ledger knows of the run."""
    request = make.run_requested(
        cron=NAME, version=0, run_id=RUN, slot=None, trigger="manual", of=None, reason="",
        actor="ann", at=clock.now(),
    )  # fmt: skip
    store.append_next([request])


def succeeded() -> Event:
    return make.run_succeeded(
        cron=NAME, run_id=RUN, version=2, slot=None, attempt=1, actor="worker/1", at=clock.now()
    )


@pytest.mark.django_db
def test_a_run_whose_success_waits_and_cannot_be_written_is_not_started_again(
    fetch, redis_connection, monkeypatch
):
    """I4: the ledger answers, and refuses the event that says so."""
    asked()
    push(redis_connection, succeeded())

    def refuse(*_):
        raise ProgrammingError("permission denied for table")

    monkeypatch.setattr(spool, "_write", refuse)
    assert begin(fetch(), NAME, RUN).closed
    monkeypatch.undo()
    drain(redis_connection)
    assert types(RUN) == ["run_requested", "run_succeeded", "start_refused"]


@pytest.mark.django_db
@pytest.mark.parametrize("away", [False, True], ids=["database there", "database away"])
def test_a_success_that_somebody_forged_stops_no_start(fetch, redis_connection, monkeypatch, away):
    asked()
    entry = json.loads(write(succeeded()))
    redis_connection.rpush(run_key(RUN), json.dumps({**entry, "mac": "0" * 64}))
    redis_connection.zadd(INDEX_KEY, {str(RUN): 0})
    with monkeypatch.context() as down:
        if away:
            down.setattr(spool, "read_run", _away)
            down.setattr(attempt_module, "_append_start", _away)
        assert not begin(fetch(), NAME, RUN).closed
    drain(redis_connection)
    assert types(RUN) == ["run_requested", "run_started"]


def _away(*_):
    raise OperationalError("no connection")


def leave_a_transaction() -> None:
    left = transaction.atomic()
    KEPT.append(left)
    left.__enter__()


def leave_a_broken_transaction() -> None:
    leave_a_transaction()
    with suppress(DatabaseError):
        connection.cursor().execute("SELECT nothing FROM nowhere")


def leave_autocommit_off() -> None:
    transaction.set_autocommit(False)
    connection.cursor().execute("SELECT 1")


def leave_a_transaction_that_django_does_not_know() -> None:
    connection.cursor().execute("BEGIN")


def leave_a_session_that_reads_only() -> None:
    on_postgresql = connection.vendor == "postgresql"
    setting = "SET default_transaction_read_only = on" if on_postgresql else "PRAGMA query_only = 1"
    connection.cursor().execute(setting)


def close_the_connection_below() -> None:
    connection.connection.close()


KEPT: list[object] = []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "leave",
    [
        leave_a_transaction,
        leave_a_broken_transaction,
        leave_autocommit_off,
        leave_a_transaction_that_django_does_not_know,
        leave_a_session_that_reads_only,
        close_the_connection_below,
    ],
)
def test_an_outcome_is_recorded_whatever_the_function_left_open(fetch, redis_connection, leave):
    """Read by another connection: it is committed, and nothing waits in Redis."""
    attempt = begin(fetch(), NAME, RUN)
    try:
        leave()
        close(attempt, partial(make.run_succeeded, result=None))
        found: list[list[str]] = []
        reader = Writer(lambda: found.append(types(RUN)))
        reader.start()
        reader.finish()
        assert found == [["run_started", "run_succeeded"]]
        assert not redis_connection.exists(INDEX_KEY)
    finally:
        ledger_session.renew()
        KEPT.clear()


@pytest.mark.django_db
def test_the_transaction_around_an_eager_job_is_left_alone(fetch):
    """A test's own, or a view's with ``ATOMIC_REQUESTS`` and a queue that is not async."""
    with transaction.atomic():
        attempt = begin(fetch(), NAME, RUN)
        before = connection.connection
        close(attempt, partial(make.run_succeeded, result=None))
        assert connection.connection is before
        assert connection.in_atomic_block
    assert types(RUN) == ["run_started", "run_succeeded"]
