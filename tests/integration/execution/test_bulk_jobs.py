"""What is written in bulk is what RQ would write, and what RQ has to write itself is left to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django_rq.queues import DjangoRQ
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import str_to_date, utcformat

from rqcron_events.core.definition import Definition, Retries
from rqcron_events.execution import bulk_jobs
from rqcron_events.execution.bulk_jobs import BulkJobs, OpenQueue
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id
from rqcron_events.execution.job_data import job_data

SLOT = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
TIMES = (b"created_at", b"enqueued_at")


class NoisySerializer(JSONSerializer):
    """As one that encrypts: no two outputs are equal."""

    number = count()

    @classmethod
    def dumps(cls, *args: Any, **options: Any) -> bytes:
        return super().dumps(*args, **options) + b" " * (next(cls.number) % 7)


class QueueOfTheProject(DjangoRQ):
    pass


class JobOfTheProject(Job):
    pass


def requests_of(**values: Any) -> list[RunRequest]:
    """Of three crons with the same options: for a slot, for a person with arguments, for a backfill."""
    definitions = [
        Definition(**{"name": name, "function": f"mail:{name}", "expression": "@daily", **values})
        for name in ("send digest", "日報", "b")
    ]
    by_hand = RunRequest(
        run_id=uuid4(), definition=definitions[1], slot=None, trigger="manual",
        args=[1, "é"], kwargs={"dry": True},
    )  # fmt: skip
    return [
        RunRequest(run_id=uuid4(), definition=definitions[0], slot=SLOT),
        by_hand,
        RunRequest(run_id=uuid4(), definition=definitions[2], slot=SLOT, trigger="backfill"),
    ]


def in_redis(connection: Redis) -> dict[bytes, Any]:
    """Everything, with the times of jobs taken out: RQ writes a clock's, each its own."""
    found: dict[bytes, Any] = {}
    for key in connection.scan_iter():
        match connection.type(key):
            case b"hash":
                fields = connection.hgetall(key)
                for name in TIMES:
                    value = fields.pop(name).decode()
                    assert utcformat(str_to_date(value)) == value
                found[key] = (fields, connection.ttl(key))
            case b"list":
                found[key] = connection.lrange(key, 0, -1)
            case b"set":
                found[key] = connection.smembers(key)
            case other:
                raise AssertionError(f"{key!r} is a {other!r}")
    return found


def by_rq(opened: OpenQueue, requests: list[RunRequest]) -> dict[bytes, Any]:
    connection = opened.queue.connection
    connection.flushdb()
    opened.queue.enqueue_many([job_data(request, opened.result_ttl) for request in requests])
    return in_redis(connection)


@pytest.fixture
def opened(redis_connection):
    """``opened(**options)`` is a queue with something in it."""

    def make(result_ttl: int | None = None, *, queue_class: type = Queue, **options: Any):
        return OpenQueue(queue_class("default", connection=redis_connection, **options), result_ttl)

    return make


OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "timeout": {"options": {"timeout": 90}},
    "timeout -1": {"options": {"timeout": -1}},
    "result_ttl": {"options": {"result_ttl": 0}},
    "failure_ttl": {"options": {"failure_ttl": -1}},
    "meta": {"options": {"meta": {"team": "mail", "é": [1, None]}}},
    "at_front": {"options": {"at_front": True}},
    "retries": {"retries": Retries(max=3, intervals=(1, 20), enqueue_at_front=True)},
    "a retry": {"retries": Retries(max=1)},
    "all": {
        "options": {"timeout": 9, "result_ttl": 8, "failure_ttl": 7, "at_front": True, "meta": {"a": 1}},
        "retries": Retries(max=2, intervals=(5,)),
    },
}  # fmt: skip


@pytest.mark.parametrize("queue_class", [Queue, DjangoRQ])
@pytest.mark.parametrize("values", OPTIONS.values(), ids=OPTIONS.keys())
def test_redis_holds_what_rq_would_write(opened, redis_connection, values, queue_class):
    place = opened(300, queue_class=queue_class, default_timeout=77)
    requests = requests_of(**values)
    expected = by_rq(place, requests)
    redis_connection.flushdb()
    assert BulkJobs().enqueue(requests, {"default": place}) == []
    assert in_redis(redis_connection) == expected


def test_the_serializer_of_the_queue_is_used(opened, redis_connection):
    place = opened(serializer=JSONSerializer)
    requests = requests_of()
    expected = by_rq(place, requests)
    redis_connection.flushdb()
    assert BulkJobs().enqueue(requests, {"default": place}) == []
    assert in_redis(redis_connection) == expected
    meta = redis_connection.hget(f"rq:job:{job_id(requests[0].run_id)}", "meta")
    assert json.loads(meta)["rqcron"]["slot"] == SLOT.isoformat()


def test_a_job_that_is_there_already_is_written_over_as_rq_does(opened, redis_connection):
    place, requests = opened(), requests_of()
    by_rq(place, requests)
    place.queue.enqueue_many([job_data(request, None) for request in requests])
    expected = in_redis(redis_connection)
    by_rq(place, requests)
    assert BulkJobs().enqueue(requests, {"default": place}) == []
    assert in_redis(redis_connection) == expected


LEFT_TO_RQ: dict[str, dict[str, Any]] = {
    "a queue class": {"queue_class": QueueOfTheProject},
    "a job class": {"job_class": JobOfTheProject},
    "a serializer that never writes the same": {"serializer": NoisySerializer},
}


@pytest.mark.parametrize("options", LEFT_TO_RQ.values(), ids=LEFT_TO_RQ.keys())
def test_classes_of_the_projects_are_left_to_rq(opened, redis_connection, options):
    requests = requests_of()
    assert BulkJobs().enqueue(requests, {"default": opened(**options)}) == requests
    assert redis_connection.keys() == []


def test_a_ttl_for_which_rq_writes_more_is_left_to_rq(opened, redis_connection):
    requests = requests_of(options={"ttl": 60})
    assert BulkJobs().enqueue(requests, {"default": opened()}) == requests
    assert redis_connection.keys() == []


def test_an_rq_that_is_newer_writes_its_jobs_itself(opened, redis_connection, monkeypatch):
    monkeypatch.setattr(bulk_jobs, "VERSION", "3.1.2")
    requests = requests_of()
    assert BulkJobs().enqueue(requests, {"default": opened()}) == requests
    assert redis_connection.keys() == []


def test_an_rq_that_writes_otherwise_writes_its_jobs_itself(opened, redis_connection, monkeypatch):
    to_dict = Job.to_dict

    def with_the_function(job: Job, **options: Any) -> dict[str, Any]:
        return {**to_dict(job, **options), "function": job.func_name}

    monkeypatch.setattr(Job, "to_dict", with_the_function)
    requests = requests_of()
    assert BulkJobs().enqueue(requests, {"default": opened()}) == requests
    assert redis_connection.keys() == []


def test_jobs_with_other_options_go_in_one_transaction(opened, redis_connection):
    queues = {"default": opened(), "high": opened()._replace(
        queue=Queue("high", connection=redis_connection))}  # fmt: skip
    requests = [
        *requests_of(),
        *requests_of(options={"timeout": 5}),
        *requests_of(retries=Retries(max=1)),
        *requests_of(queue="high"),
    ]
    redis_connection.config_resetstat()
    assert BulkJobs().enqueue(requests, queues) == []
    calls = redis_connection.info("commandstats")
    assert (calls["cmdstat_exec"]["calls"], calls["cmdstat_eval"]["calls"]) == (1, 4)
    assert [queues[name].queue.count for name in queues] == [9, 3]


# What Redis does not take


def test_a_job_that_redis_does_not_take_leaves_the_others_alone(redis_connection):
    requests = requests_of()
    guilty = job_id(requests[1].run_id)
    redis_connection.set(f"rq:job:{guilty}", "of another type")
    done, refused = Enqueuer().enqueue(requests)
    assert [result.request for result in done] == [requests[0], requests[2]]
    assert [(r.request, r.is_refused) for r in refused] == [(requests[1], True)]
    assert "WRONGTYPE" in refused[0].error
    waiting = Enqueuer().queue("default").get_job_ids()
    assert sorted(waiting) == sorted(job_id(requests[index].run_id) for index in (0, 2))


def test_a_queue_of_another_type_refuses_its_jobs_and_leaves_none_behind(redis_connection):
    requests = requests_of()
    elsewhere = [replace(request, run_id=uuid4()) for request in requests_of(queue="low")]
    redis_connection.set("rq:queue:default", "of another type")
    results = [result for part in Enqueuer().enqueue(requests + elsewhere) for result in part]
    assert {r.request.run_id for r in results if not r.error} == {r.run_id for r in elsewhere}
    assert {r.request.run_id for r in results if r.is_refused} == {r.run_id for r in requests}
    assert len(redis_connection.keys("rq:job:*")) == 3


def test_options_that_rq_refuses_concern_their_cron_alone(redis_connection):
    good, bad = requests_of(), requests_of(options={"timeout": 0})
    done, refused = Enqueuer().enqueue([*bad, *good])
    assert {result.request.run_id for result in done} == {request.run_id for request in good}
    assert {result.request.run_id for result in refused} == {request.run_id for request in bad}
    assert Enqueuer().queue("default").count == 3


def test_a_redis_without_scripts_gets_what_rq_writes(redis_connection):
    requests = requests_of()
    redis_connection.acl_setuser("default", enabled=True, commands=["-eval"])
    try:
        (done,) = Enqueuer().enqueue(requests)
    finally:
        redis_connection.acl_setuser("default", enabled=True, categories=["+@all"])
    assert [result.request for result in done] == requests
    assert Enqueuer().queue("default").count == 3


def test_a_redis_that_is_full_is_an_outage_and_holds_nothing(redis_connection):
    redis_connection.config_set("maxmemory", "1")
    try:
        (away,) = Enqueuer().enqueue(requests_of())
    finally:
        redis_connection.config_set("maxmemory", "0")
    assert [result.is_outage for result in away] == [True, True, True]
    assert redis_connection.keys("rq:job:*") == []
