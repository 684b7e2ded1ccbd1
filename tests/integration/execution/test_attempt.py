"""The start of a job in this process, where other writers meet it on the run's stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection
from rq.job import Job

from rqcron_events import clock
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Reason, make
from rqcron_events.core.events.make import LOG_FORMAT, InRun
from rqcron_events.errors import LedgerUnavailable
from rqcron_events.execution import attempt as attempt_module
from rqcron_events.execution import spool
from rqcron_events.execution.attempt import begin, close
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.spool import INDEX_KEY
from rqcron_events.execution.work_horse import start as start_module
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
def test_a_run_that_ends_while_its_next_attempt_is_judged_begins_as_a_new_run(fetch, monkeypatch):
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

    def overtaken(_: Any) -> int:
        if not CronEvent.objects.of_type("run_lost").exists():
            store.append([lost])
        return 0

    monkeypatch.setattr(start_module, "executions_alive", overtaken)
    attempt = begin(job, NAME, RUN)
    assert not attempt.closed
    assert types(RUN) == ["run_started", "run_lost"]
    requested = CronEvent.objects.get(type="run_requested")
    assert (requested.run_id, requested.data["of"]) == (attempt.run.run_id, str(RUN))
    assert types(attempt.run.run_id) == ["run_requested", "run_started"]
    assert attempt.run.attempt == 1


def write_by_hand(**columns: Any) -> None:
    columns = {
        "stream": f"run/{RUN}",
        "cron": NAME,
        "run_id": RUN,
        "occurred_at": clock.now(),
        "data": {},
        **columns,
    }
    CronEvent(**columns).save()


UNREADABLE = {
    "a type that nobody knows": {"type": "run_applauded"},
    "a schema version that nobody knows": {"type": "run_succeeded", "schema_version": 9},
    "data that is a list": {"type": "run_succeeded", "data": []},
    "retries that are text": {"type": "run_started", "data": {"retries_left": "many"}},
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("newer_release", [False, True])
def test_a_run_that_cannot_be_read_is_not_started(rows_of_before, fetch, what, newer_release):
    """I4: what cannot be read may be its success."""
    if newer_release:
        write_by_hand(
            stream="runner/new", version=1, type="runner_started", data={"format": LOG_FORMAT + 1}
        )
    write_by_hand(version=2, **UNREADABLE[what])
    attempt = begin(fetch(), NAME, RUN)
    assert attempt.closed
    assert types(RUN)[-1] == "start_refused"
    assert CronEvent.objects.order_by("id").last().reason == "unreadable"


@pytest.mark.django_db(transaction=True)
def test_a_job_fails_when_not_even_the_refusal_can_be_recorded(fetch, monkeypatch):
    write_by_hand(version=1, type="run_applauded")

    def refuse(events: object) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr(store, "append_next", refuse)
    with pytest.raises(LedgerUnavailable, match="may have succeeded"):
        begin(fetch(), NAME, RUN)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("newer_release", [False, True])
def test_spooled_events_wait_until_their_run_can_be_read(fetch, redis_connection, newer_release):
    place = InRun(cron=NAME, run_id=RUN, version=0, slot=None, actor="worker/1", at=clock.now())
    other = uuid4()
    if newer_release:
        write_by_hand(
            stream="runner/new", version=1, type="runner_started", data={"format": LOG_FORMAT + 1}
        )
    write_by_hand(version=2, type="run_applauded")
    write_by_hand(stream=f"cron/{NAME}", version=1, type="run_requested", run_id=other)
    spool.push(redis_connection, make.run_succeeded(attempt=1, **place))
    spool.push(redis_connection, make.run_succeeded(attempt=1, **{**place, "run_id": other}))
    written, more = spool.drain(redis_connection)
    assert ([event.run_id for event in written], more) == ([other], True)
    assert spool.spooled_types(redis_connection, RUN) == ["run_succeeded"]
    assert begin(fetch(), NAME, RUN).closed
    assert spool.spooled_types(redis_connection, RUN) == ["run_succeeded", "start_refused"]


@pytest.mark.django_db(transaction=True)
def test_an_end_goes_behind_its_start_that_could_not_be_written(
    fetch, redis_connection, monkeypatch
):
    """The database is back when the attempt fails: why it failed is not lost."""
    write_by_hand(stream=f"cron/{NAME}", version=1, type="run_requested", run_id=RUN)

    def refuse(*_: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as away:
        away.setattr(attempt_module, "start_at_once", refuse)
        attempt = begin(fetch(), NAME, RUN)
    assert spool.spooled_types(redis_connection, RUN) == ["run_started"]
    close(attempt, partial(make.attempt_failed, retries_left=1, reason=Reason.EXCEPTION))
    assert types(RUN) == ["run_requested", "run_started", "attempt_failed"]
    assert CronEvent.objects.get(type="attempt_failed").reason == "exception"
    assert not redis_connection.exists(INDEX_KEY)


LEFT = {
    "another schema": "SET search_path TO tenant, public",
    "a schema without the tables": "SET search_path TO nowhere",
    "another role": "SET ROLE nobody_in_particular",
    "read-only": "SET default_transaction_read_only = on",
    "a timeout": "SET statement_timeout = 1; SET lock_timeout = 1",
}


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which has neither schemas nor roles."""


@pytest.fixture
def tenant(postgresql, transactional_db) -> Iterator[None]:
    """A schema that has the log's table as well, as with rqcron_events in TENANT_APPS."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA tenant")
        cursor.execute("CREATE TABLE tenant.rqcron_event (LIKE rqcron_event INCLUDING ALL)")
        cursor.execute("CREATE ROLE nobody_in_particular")
    yield
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA tenant CASCADE")
        cursor.execute("DROP ROLE nobody_in_particular")


@pytest.mark.parametrize("left", LEFT)
def test_whatever_a_function_leaves_in_its_session_its_end_reaches_the_log(
    left, tenant, fetch, redis_connection
):
    attempt = begin(fetch(), NAME, RUN)
    with connection.cursor() as cursor:
        cursor.execute(LEFT[left])
    close(attempt, make.run_succeeded)
    assert not redis_connection.exists(INDEX_KEY), "it went through the spool"
    connection.close()  # where its timeout was long enough, the session is still the function's
    assert types(RUN) == ["run_started", "run_succeeded"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenant.rqcron_event")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM public.rqcron_event WHERE run_id = %s", [RUN])
        assert cursor.fetchone() == (2,)
