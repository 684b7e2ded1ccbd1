"""RQ keeps jobs, and the spool entries, of runs whose events are archived: none of them lives twice (I4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django_rq import get_queue, get_worker
from rq import SimpleWorker
from rq.job import Job

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import make
from rqcron_events.errors import NotWaiting, SegmentUnavailable, UnknownRun
from rqcron_events.execution import spool
from rqcron_events.execution.attempt import begin, close, elsewhere
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.job_data import META_KEY
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.operations.cancel import cancel_run
from rqcron_events.queries.audit import audit
from rqcron_events.runner.runner import Runner
from rqcron_events.testing import FakeClock
from tests.archiving import archive, forget_files, unreachable
from tests.integration.conftest import *  # noqa: F403 - the runner in this process

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Near the true time, by which RQ notes when a job was created."""
    with FakeClock(datetime.now(UTC).replace(second=30, microsecond=0)) as fake:
        yield fake


def work() -> None:
    get_worker("default", worker_class=SimpleWorker).work(burst=True)


@pytest.fixture
def executed() -> list[str]:
    return []


@pytest.fixture
def archived(
    add: Callable[..., None],
    deploy: Callable[[], Runner],
    clock: FakeClock,
    executed: list[str],
) -> UUID:
    """The first of five runs that failed; the log begins behind it."""

    def report() -> None:
        from rqcron_events import current_run

        executed.append(str(current_run().run_id))
        raise ValueError("no")

    add("report", report, schedule="* * * * *", timeout=30)
    runner = deploy()
    for _ in range(5):
        clock.advance(MINUTE)
        runner.tick()
        work()
    run = CronEvent.objects.of_type("slot_fired").order_by("id").first().run_id
    last = CronEvent.objects.for_run(run).order_by("-id").first()
    archive(CronEvent.objects.filter(id__lte=last.id).count() + 4)
    assert not CronEvent.objects.for_run(run).exists()
    return run


def of_run(run: UUID) -> list[tuple[str, str]]:
    return list(CronEvent.objects.for_run(run).order_by("id").values_list("type", "reason"))


def test_a_requeued_job_of_an_archived_run_is_refused(
    archived: UUID, executed: list[str], redis_connection: Any
):
    before = list(executed)
    job = Job.fetch(job_id(archived), connection=redis_connection)
    job.requeue()
    work()
    get_queue("default").enqueue_job(job)
    work()
    assert executed == before
    assert of_run(archived) == [("start_refused", "archived")] * 2
    assert audit().ok


def test_a_death_of_such_a_job_is_no_end_of_the_run(archived: UUID, redis_connection: Any):
    job = Job.fetch(job_id(archived), connection=redis_connection)
    close(elsewhere(job), lambda **place: make.run_failed(
        error_type="E", error_message="", traceback="", reason="worker_killed",
        **{key: value for key, value in place.items() if key != "duration_seconds"},
    ))  # fmt: skip
    assert of_run(archived) == []


def test_a_runner_that_begins_takes_it_for_no_loss(
    archived: UUID, deploy: Callable[[], Runner], clock: FakeClock, executed: list[str]
):
    before = list(executed)
    clock.advance(MINUTE)
    runner = deploy()
    runner.reconcile_all()
    work()
    assert len(executed) == len(before) + 1, "the slot that came due"
    assert of_run(archived) == []
    assert not CronEvent.objects.of_type("log_went_back").exists()


def test_nor_after_a_start_of_it_was_refused(
    archived: UUID, deploy: Callable[[], Runner], clock: FakeClock, redis_connection: Any
):
    Job.fetch(job_id(archived), connection=redis_connection).requeue()
    work()
    clock.advance(MINUTE)
    deploy()
    assert not CronEvent.objects.of_type("log_went_back").exists()
    assert of_run(archived) == [("start_refused", "archived")]


def test_what_waits_in_the_spool_is_set_aside(archived: UUID, redis_connection: Any):
    job = Job.fetch(job_id(archived), connection=redis_connection)
    slot = datetime.fromisoformat(job.meta[META_KEY]["slot"])
    event = make.run_succeeded(
        cron="report", run_id=archived, version=4, slot=slot, attempt=1, actor="worker/1",
        at=job.created_at,
    )  # fmt: skip
    spool.push(redis_connection, event)
    spool.drain(redis_connection)
    assert of_run(archived) == []
    (raw,) = redis_connection.lrange(spool.REFUSED_KEY, 0, -1)
    assert b"archived" in raw


def test_an_unknown_run_that_is_younger_than_the_archive_may_begin(
    archived: UUID, clock: FakeClock, redis_connection: Any
):
    """A worker may be told of a run before the log is, as by the other side of a split."""
    definition = Definition(name="report", function="nowhere:report", expression="* * * * *")
    for minutes, refused in ((1, False), (-60, True)):
        run = uuid4()
        (results,) = Enqueuer().enqueue([RunRequest(run_id=run, definition=definition, slot=None)])
        assert not results[0].error
        job = Job.fetch(job_id(run), connection=redis_connection)
        job.created_at = clock.now + minutes * MINUTE
        assert begin(job, "report", run).closed is refused


def test_it_cannot_be_cancelled_and_can_be_run_again(archived: UUID, directory: Path):
    with pytest.raises(NotWaiting, match="archived"):
        cancel_run(archived)
    again = controls.rerun(archived, reason="once more")
    request = CronEvent.objects.for_run(again).of_type("run_requested").get()
    assert request.data["of"] == str(archived)
    assert request.scheduled_for is not None
    unreachable(directory)
    forget_files()
    for ask in (cancel_run, controls.rerun):
        with pytest.raises(SegmentUnavailable, match="segments/"):
            ask(archived)


def test_a_run_that_nobody_ever_asked_for_stays_unknown(archived: UUID):
    for ask in (cancel_run, controls.rerun):
        with pytest.raises(UnknownRun):
            ask(UUID(int=77))
