"""Jobs in a real RQ worker with its work-horses, started by django-rq's own rqworker command."""

from __future__ import annotations

import json
import time
from uuid import UUID

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry

from rqcron_events import clock
from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.spool import INDEX_KEY, drain, run_key
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.processes import Project, has_ended


@pytest.fixture
def worked(project: Project):
    """``worked("name")`` asks for a run, lets a worker empty the queues, returns the run's events."""
    assert project.run("cron_run", "--once").returncode == 0

    def run(name: str) -> list[CronEvent]:
        run_id = controls.trigger(name)
        return finish(run_id)

    def finish(run_id: UUID) -> list[CronEvent]:
        done = project.run("rqworker", "default", "high", "low", "--burst")
        assert done.returncode == 0, done.stderr
        return list(CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version"))

    run.finish = finish
    return run


def test_a_success_is_recorded_with_duration_attempt_and_result(worked):
    enqueued, started, succeeded = worked("quick")
    assert [enqueued.type, started.type] == ["run_enqueued", "run_started"]
    assert started.attempt == 1
    assert started.actor.startswith("worker/")
    assert succeeded.type == "run_succeeded"
    assert 0 <= succeeded.data["duration_seconds"] < 30
    assert succeeded.to_event().data["result"] == '{"slot": null, "attempt": 1}'


def test_an_exception_is_in_rqs_failed_registry_and_in_the_ledger(worked, redis_connection: Redis):
    *_, failed = worked("raises")
    assert failed.type == "run_failed"
    assert failed.reason == "exception"
    error = failed.to_event().data["error"]
    assert (error["type"], error["message"]) == ("ValueError", "on purpose")
    assert "crons.py" in error["traceback"]
    registry = FailedJobRegistry(queue=Queue("default", connection=redis_connection))
    assert registry.get_job_ids() == [job_id(failed.run_id)]
    job = Job.fetch(job_id(failed.run_id), connection=redis_connection)
    assert "ValueError: on purpose" in job.latest_result().exc_string


def test_retries_are_attempts_of_one_run(worked):
    events = worked("raises_and_retries")
    assert [(event.type, event.attempt) for event in events] == [
        ("run_enqueued", None),
        ("run_started", 1),
        ("attempt_failed", 1),
        ("run_started", 2),
        ("attempt_failed", 2),
        ("run_started", 3),
        ("run_failed", 3),
    ]
    assert [e.data["retries_left"] for e in events if e.type == "attempt_failed"] == [2, 1]


def test_a_returned_retry_is_an_attempt_too(worked):
    events = worked("returns_retry")
    assert [(event.type, event.reason) for event in events] == [
        ("run_enqueued", ""),
        ("run_started", ""),
        ("attempt_failed", "retry_returned"),
        ("run_started", ""),
        ("run_succeeded", ""),
    ]


def test_a_declined_run_says_why_and_is_finished_for_rq(worked, redis_connection: Redis):
    *_, declined = worked("declines")
    assert (declined.type, declined.reason) == ("run_declined", "nothing new")
    job = Job.fetch(job_id(declined.run_id), connection=redis_connection)
    assert job.get_status() == "finished"


def test_an_async_function_is_awaited(worked):
    *_, succeeded = worked("asynchronous")
    assert (succeeded.type, succeeded.to_event().data["result"]) == ("run_succeeded", '"done"')


def test_a_result_that_cannot_be_stored_fails_the_run_once(worked):
    *_, failed = worked("unpicklable")
    assert failed.type == "run_failed"
    assert CronEvent.objects.for_run(failed.run_id).outcomes().count() == 1


def test_a_job_that_is_queued_twice_runs_once(worked, redis_connection: Redis):
    """I4: the second start is refused, and the refusal is recorded."""
    run_id = controls.trigger("quick")
    redis_connection.rpush("rq:queue:default", job_id(run_id))
    events = worked.finish(run_id)
    assert [event.type for event in events] == [
        "run_enqueued",
        "run_started",
        "run_succeeded",
        "start_refused",
    ]
    assert events[-1].reason == "already_succeeded"


def test_a_job_queued_twice_does_not_run_beside_itself(project, worked, redis_connection: Redis):
    """I4 with two workers: the second finds the first at work."""
    run_id = controls.trigger("slow")
    first = project.start("rqworker", "low", "--burst")
    stream = CronEvent.objects.filter(stream=f"run/{run_id}")
    project.wait_until(stream.of_type("run_started").exists)
    children = psutil.Process(first.pid).children()  # with a writer, if a slot was due before
    (work_horse,) = (child for child in children if child.name() != "rqcron-writer")
    work_horse.suspend()  # at work for as long as the second worker needs to come up
    redis_connection.rpush("rq:queue:low", job_id(run_id))
    project.start("rqworker", "low", "--burst")
    project.wait_until(stream.of_type("start_refused").exists)
    assert stream.get(type="start_refused").reason == "already_running"
    work_horse.resume()
    project.wait_until(stream.outcomes().exists)
    assert stream.of_type("run_started").count() == 1


def test_a_plain_worker_has_a_writer_from_its_second_job_on_which_ends_with_it(project, worked):
    runs = [controls.trigger("quick") for _ in range(3)]
    worker = project.start("rqworker", "default")
    done = CronEvent.objects.filter(run_id__in=runs, type="run_succeeded")
    project.wait_until(lambda: done.count() == len(runs))
    beside = psutil.Process(worker.pid)
    # A work-horse is there for a moment after it has told its outcome.
    project.wait_until(lambda: [it.name() for it in beside.children()] == ["rqcron-writer"])
    (writer,) = beside.children()
    worker.kill()
    worker.wait()
    project.wait_until(lambda: has_ended(writer))
    assert "failed" not in worker.output, "what it was answered and had not read is no fault"


def test_a_requeued_failure_is_a_new_run_that_points_back(worked, redis_connection: Redis):
    """I5: the failed run keeps its outcome; what somebody asked RQ for again is another run."""
    *_, failed = worked("raises")
    Job.fetch(job_id(failed.run_id), connection=redis_connection).requeue()
    worked.finish(failed.run_id)
    assert CronEvent.objects.for_run(failed.run_id).outcomes().count() == 1
    again = CronEvent.objects.get(type="run_requested", data__trigger="requeue")
    assert again.data["of"] == str(failed.run_id)
    assert CronEvent.objects.for_run(again.run_id).outcomes().get().type == "run_failed"


def test_a_cron_that_the_workers_code_does_not_have_fails_with_a_remedy(project, worked):
    project.environment["RQCRON_TEST_GIVE_BACK_SECONDS"] = "0"
    run_id = UUID(int=7)
    definition = Definition(name="gone", function="nowhere:gone", expression="* * * * *")
    (results,) = Enqueuer().enqueue([RunRequest(run_id=run_id, definition=definition, slot=None)])
    assert not results[0].error
    *_, failed = worked.finish(run_id)
    assert (failed.type, failed.reason) == ("run_failed", "not_registered")
    assert "INSTALLED_APPS" in failed.to_event().data["error"]["message"]


def test_a_timeout_is_recorded_as_one(worked):
    *_, failed = worked("too_slow")
    assert (failed.type, failed.reason) == ("run_failed", "timeout")


def test_a_stopped_job_is_recorded_as_stopped(project, worked, redis_connection: Redis):
    from rq.command import send_stop_job_command

    run_id = controls.trigger("slow")
    project.start("rqworker", "low")
    stream = CronEvent.objects.filter(stream=f"run/{run_id}")
    project.wait_until(stream.of_type("run_started").exists)
    time.sleep(0.3)  # RQ's worker subscribes to commands in a thread of its own
    send_stop_job_command(redis_connection, job_id(run_id))
    project.wait_until(stream.of_type("run_stopped").exists)
    assert stream.outcomes().count() == 1


def test_a_job_runs_although_the_ledger_cannot_be_written(project, worked, redis_connection: Redis):
    """I9: RQ's status stays true."""
    run_id = controls.trigger("quick")
    done = project.run(
        "rqworker", "default", "--burst", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere"
    )
    assert done.returncode == 0
    job = Job.fetch(job_id(run_id), connection=redis_connection)
    assert job.get_status() == "finished"
    spooled = [json.loads(raw) for raw in redis_connection.lrange(run_key(run_id), 0, -1)]
    assert [entry["type"] for entry in spooled] == ["run_started", "run_succeeded"]


def test_what_was_spooled_is_drained_into_the_log_with_its_true_time(
    project, worked, redis_connection: Redis
):
    run_id = controls.trigger("quick")
    project.run(
        "rqworker", "default", "--burst", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere"
    )
    key = run_key(run_id)
    first = redis_connection.dump(key)
    index = redis_connection.dump(INDEX_KEY)
    done_at = clock.now()
    drain(redis_connection)
    redis_connection.restore(key, 0, first)  # a leader died between the commit and the removal
    redis_connection.restore(INDEX_KEY, 0, index)
    drain(redis_connection)
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    assert [event.type for event in events] == ["run_enqueued", "run_started", "run_succeeded"]
    assert events[2].occurred_at < done_at < events[2].recorded_at
    assert not redis_connection.exists(key, INDEX_KEY)


NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


@pytest.mark.parametrize("database_is_back", [True, False], ids=["back", "still away"])
def test_a_run_whose_success_waits_in_the_spool_is_not_started_again(
    project, worked, redis_connection: Redis, database_is_back: bool
):
    """I4: RQ has the job in its queue again before anybody drained the first attempt's end."""
    run_id = controls.trigger("quick")
    project.run("rqworker", "default", "--burst", DATABASE_URL=NOWHERE)
    job = Job.fetch(job_id(run_id), connection=redis_connection)
    assert job.is_finished
    Queue("default", connection=redis_connection).enqueue_job(job)
    environment = {} if database_is_back else {"DATABASE_URL": NOWHERE}
    project.run("rqworker", "default", "--burst", **environment)
    drain(redis_connection)
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    assert [event.type for event in events] == [
        "run_enqueued",
        "run_started",
        "run_succeeded",
        "start_refused",
    ]
    assert events[3].reason == "already_succeeded"
    assert not redis_connection.exists(run_key(run_id), INDEX_KEY)


def test_a_failed_run_that_a_late_runner_enqueues_again_is_refused(worked):
    """I4: nobody asked for it. A person's requeue keeps the job; this one was created anew."""
    *_, failed = worked("raises")
    definition = Definition(name="raises", function="", expression="* * * * *")
    list(Enqueuer().enqueue([RunRequest(run_id=failed.run_id, definition=definition, slot=None)]))
    events = worked.finish(failed.run_id)
    assert (events[-1].type, events[-1].reason) == ("start_refused", "already_ended")
    assert not CronEvent.objects.filter(data__trigger="requeue").exists()
