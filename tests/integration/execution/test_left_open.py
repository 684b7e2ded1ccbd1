"""What a function leaves open, and what waits in the spool, does not cost an outcome."""

from __future__ import annotations

import json
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
from rqcron_events.execution import spool
from rqcron_events.execution.attempt import begin, close
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.spool import INDEX_KEY, drain, push, run_key
from rqcron_events.execution.spool_entry import write
from rqcron_events.execution.work_horse import ledger_session
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
            down.setattr(attempt_module, "append_start", _away)
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
