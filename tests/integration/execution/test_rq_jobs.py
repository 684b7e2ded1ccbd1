"""What one job's record in Redis holds must not keep the runner from reading the others."""

from __future__ import annotations

import logging
import os
import threading
import zlib
from base64 import b64encode
from uuid import UUID, uuid4

import pytest
from redis import Redis
from redis.client import Pipeline
from rq import Callback
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry
from rq.results import Result

from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.redis_clock import redis_seconds
from rqcron_events.execution.rq_jobs import clean_up_abandoned, look_up
from rqcron_events.execution.waiting_jobs import stranded as stranded_jobs
from rqcron_events.models import CronEvent

CRON = Definition(name="report", function="nowhere:report", expression="* * * * *")


@pytest.fixture(params=[False, True], ids=["bytes", "decoded"])
def enqueuer(request, redis_connection):
    """The second as in a project whose connections decode responses."""
    found = Enqueuer()
    queue = found.queue(CRON.queue)
    queue.connection = Redis.from_url(os.environ["REDIS_URL"], decode_responses=request.param)
    yield found
    queue.connection.close()


def enqueued() -> RunRequest:
    request = RunRequest(run_id=uuid4(), definition=CRON, slot=None)
    (results,) = Enqueuer().enqueue([request])
    assert not results[0].error
    return request


def job(run_id: UUID) -> str:
    return f"rq:job:{job_id(run_id)}"


def results(run_id: UUID) -> str:
    return Result.get_key(job_id(run_id))


def executions(run_id: UUID) -> str:
    return f"rq:executions:{job_id(run_id)}"


def failure(redis: Redis, run_id: UUID, text: bytes, kind: object = 2) -> None:
    redis.xadd(results(run_id), {"type": kind, "exc_string": text})


POISONS = {
    "a bad date": lambda r, run: r.hset(job(run), "ended_at", "yesterday"),
    "a date before time": lambda r, run: r.hset(job(run), "ended_at", "0001-01-01T00:00:00.0Z"),
    "a date to come": lambda r, run: r.hset(job(run), "started_at", "9999-01-01T00:00:00.0Z"),
    "half a retry": lambda r, run: r.hset(job(run), "retries_left", "one"),
    "a lot of retries": lambda r, run: r.hset(job(run), "retries_left", "9" * 40),
    "a name in no encoding": lambda r, run: r.hset(job(run), "worker_name", b"\xff\xfe"),
    "a name of a megabyte": lambda r, run: r.hset(job(run), "worker_name", b"a" * 1_000_000),
    "a list": lambda r, run: (r.delete(job(run)), r.rpush(job(run), "x")),
    "results of another type": lambda r, run: r.set(results(run), "x"),
    "executions of another type": lambda r, run: r.set(executions(run), "x"),
    "a kind of result that does not exist": lambda r, run: failure(r, run, b"", kind=99),
    "a kind of result that is no number": lambda r, run: failure(r, run, b"", kind="bad"),
    "an error that is no base64": lambda r, run: failure(r, run, b"%%%"),
    "an error that is not packed": lambda r, run: failure(r, run, b64encode(b"plain")),
    "an error beyond its bound": lambda r, run: failure(r, run, b"A" * 1_000_001),
    "an error of a gigabyte, packed": lambda r, run: failure(r, run, BOMB),
}
_packer = zlib.compressobj(9)
BOMB = b64encode(b"".join(_packer.compress(bytes(10_000_000)) for _ in range(60)) + _packer.flush())


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_a_record_that_cannot_be_read_is_the_trouble_of_its_run_alone(
    enqueuer, redis_connection, caplog, poison
):
    before, bad, after = enqueued(), enqueued(), enqueued()
    poison(redis_connection, bad.run_id)
    with caplog.at_level(logging.ERROR):
        facts = [look_up(enqueuer, [before, bad, after]) for _ in range(3)][-1]
    assert [facts[item.run_id].status for item in (before, after)] == ["queued", "queued"]
    assert facts[bad.run_id].unreadable
    (said,) = (record for record in caplog.records if record.action == "job_unreadable")
    assert str(bad.run_id) in said.message
    assert len(said.message) < 600


def test_a_record_tells_what_it_told_before(enqueuer, redis_connection):
    request, missing = enqueued(), RunRequest(run_id=uuid4(), definition=CRON, slot=None)
    redis_connection.hset(job(request.run_id), mapping={"worker_name": "né", "retries_left": "2"})
    failure(redis_connection, request.run_id, b64encode(zlib.compress(b"Traceback: \xff")))
    redis_connection.zadd(executions(request.run_id), {"one": 9e12})
    facts = look_up(enqueuer, [request, missing])
    found = facts[request.run_id]
    assert (found.status, found.worker, found.retries_left) == ("queued", "né", 2)
    assert (found.result_type, found.error, found.executions) == ("FAILED", "Traceback: \ufffd", 1)
    assert not found.unreadable
    assert not facts[missing.run_id].status


def test_a_result_of_a_hundred_megabytes_stays_in_redis(enqueuer, redis_connection):
    """By the bytes that Redis sent."""
    request = enqueued()
    redis_connection.xadd(results(request.run_id), {"type": 1, "return_value": b"x" * 50_000_000})
    before = redis_connection.info("stats")["total_net_output_bytes"]
    assert look_up(enqueuer, [request])[request.run_id].result_type == "SUCCESSFUL"
    assert redis_connection.info("stats")["total_net_output_bytes"] - before < 50_000


def stranded(enqueuer: Enqueuer, requests: list[RunRequest]) -> list[RunRequest]:
    return [request for piece in stranded_jobs.stranded(enqueuer, requests) for request in piece]


def test_stranded_jobs_are_found_beside_broken_ones(enqueuer, redis_connection):
    lost, bad, waiting = enqueued(), enqueued(), enqueued()
    for item in (lost, bad):
        redis_connection.lrem("rq:queue:default", 1, job_id(item.run_id))
    redis_connection.delete(job(bad.run_id))
    redis_connection.set(job(bad.run_id), "x")
    assert stranded(enqueuer, [lost, bad, waiting]) == [lost]
    redis_connection.delete("rq:queue:default")
    redis_connection.set("rq:queue:default", "x")
    assert stranded(enqueuer, [lost]) == []


@pytest.mark.parametrize("jobs", [7, 8, 9], ids=["less", "as many", "one more"])
def test_stranded_jobs_are_looked_for_in_pieces(enqueuer, redis_connection, monkeypatch, jobs):
    """While workers take jobs from the queue that is read, so that others move up past what was read."""
    monkeypatch.setattr(stranded_jobs, "JOBS_PER_PIECE", 2)
    monkeypatch.setattr(stranded_jobs, "SEARCHES_PER_PIECE", 1)
    requests = [enqueued() for _ in range(jobs)]
    redis_connection.lrem("rq:queue:default", 1, job_id(requests[-1].run_id))
    connection = enqueuer.queue("default").connection
    lengths, lrange = [], connection.lrange

    def read_and_take(key, first, last):
        found = lrange(key, first, last)
        lengths.append(len(found))
        taken = redis_connection.lpop("rq:queue:default").decode()
        redis_connection.hset(f"rq:job:{taken}", "status", "started")
        return found

    monkeypatch.setattr(connection, "lrange", read_and_take)
    assert stranded(enqueuer, requests) == [requests[-1]]
    assert len(lengths) > 2, "it was read in ranges"
    waiting = redis_connection.lrange("rq:queue:default", 0, -1)
    assert sum(lengths) < len(waiting) + 2 * len(lengths), "some were never seen in it"


def test_a_queue_is_searched_only_for_jobs_that_are_queued_by_all_else(
    enqueuer, redis_connection, monkeypatch
):
    """Redis goes through all of it each time."""
    searched, lpos = [], Pipeline.lpos
    requests = [enqueued() for _ in range(4)]
    redis_connection.delete("rq:queue:default")
    redis_connection.hset(job(requests[0].run_id), "status", "started")
    redis_connection.zadd(executions(requests[1].run_id), {"one": 9e12})
    redis_connection.delete(job(requests[2].run_id))
    monkeypatch.setattr(
        Pipeline,
        "lpos",
        lambda self, key, name: searched.append(name) or lpos(self, key, name),
    )
    assert stranded(enqueuer, requests) == [requests[3]]
    assert searched == [job_id(requests[3].run_id)]


@pytest.mark.django_db
def test_one_dead_job_that_rq_cannot_read_keeps_no_other_from_being_given_up(redis_connection):
    good, bad = enqueued(), enqueued()
    for item in (bad, good):
        redis_connection.hset(job(item.run_id), "status", "started")
        redis_connection.zadd("rq:wip:default", {f"{job_id(item.run_id)}:one": 1})
    redis_connection.hset(job(bad.run_id), "created_at", "yesterday")
    queue = Enqueuer().queue("default")
    for _ in range(2):
        clean_up_abandoned([queue])
    assert redis_connection.hget(job(good.run_id), "status") == b"failed"
    assert redis_connection.hget(job(bad.run_id), "status") == b"started"
    assert not redis_connection.exists("rq:wip:default")


@pytest.mark.django_db
def test_a_queue_whose_registry_is_no_list_keeps_no_other_from_being_cleaned(redis_connection):
    good = enqueued()
    redis_connection.hset(job(good.run_id), "status", "started")
    redis_connection.zadd("rq:wip:default", {f"{job_id(good.run_id)}:one": 1})
    redis_connection.set("rq:wip:high", "x")
    enqueuer = Enqueuer()
    clean_up_abandoned([enqueuer.queue("high"), enqueuer.queue("default")])
    assert redis_connection.hget(job(good.run_id), "status") == b"failed"


def test_an_abandoned_job_is_given_up_by_a_thread_too(
    transactional_db, redis_connection: Redis
) -> None:
    """The runner's RQ side is a thread, where no signal can limit what the callbacks take."""
    request = enqueued()
    name = job_id(request.run_id)
    redis_connection.hset(job(request.run_id), "status", "started")
    redis_connection.zadd("rq:wip:default", {f"{name}:1": 1})
    side = threading.Thread(target=clean_up_abandoned, args=[[Enqueuer().queue(CRON.queue)]])
    side.start()
    side.join()
    outcome = CronEvent.objects.outcomes().get(run_id=request.run_id)
    assert (outcome.type, outcome.reason) == ("run_failed", "worker_killed")
    assert redis_connection.hget(job(request.run_id), "status") == b"failed"


CALLED: list[str] = []


def of_others_failed(job: Job, *_: object) -> None:
    CALLED.append(job.id)


def test_the_dead_job_of_others_is_left_to_rqs_own_clean_up(transactional_db, redis_connection):
    """Its callback is anybody's code, which may hang or end the thread that hands over jobs."""
    ours, queue = enqueued(), Enqueuer().queue("default")
    other = Job.create(
        "builtins.print", id="other", connection=redis_connection, origin="default",
        on_failure=Callback(of_others_failed),
    )  # fmt: skip
    other.set_status(JobStatus.STARTED)
    other.save()
    redis_connection.hset(job(ours.run_id), "status", "started")
    redis_connection.zadd("rq:wip:default", {"other:one": 1, f"{job_id(ours.run_id)}:one": 1})
    clean_up_abandoned([queue])
    assert redis_connection.hget(job(ours.run_id), "status") == b"failed"
    assert (other.get_status(), CALLED) == ("started", [])
    registry = StartedJobRegistry(queue=queue)
    registry.cleanup(redis_seconds(redis_connection) + 2)  # as any of RQ's workers does
    assert (other.get_status(), CALLED) == ("failed", ["other"])
