"""Who serves a queue, by RQ's own records."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from django_rq import get_queue
from redis import Redis
from rq import Worker

from rqcron_events.execution.cron_worker.patient_worker import PatientWorker
from rqcron_events.execution.queue_service import QueueService, services

LONG_AGO = "2026-03-02T08:00:00.000000Z"


@pytest.fixture
def look(redis_connection: Redis) -> Callable[[], QueueService]:
    return lambda: services(redis_connection, [get_queue("default")])[0]


def test_a_killed_worker_is_missed_at_once(look, redis_connection):
    """An idle worker says something every seven minutes, but it listens all the time."""
    worker = Worker(["default"], connection=redis_connection)
    worker.register_birth()
    listening = redis_connection.pubsub()
    listening.subscribe(worker.pubsub_channel_name)
    assert listening.get_message(timeout=10)
    redis_connection.hset(worker.key, "last_heartbeat", LONG_AGO)
    assert (look().workers, look().dead) == ([worker.name], [])
    listening.close()
    (dead,) = look().dead
    assert (dead.name, dead.last_heartbeat.isoformat()) == (
        worker.name,
        "2026-03-02T08:00:00+00:00",
    )
    redis_connection.delete(worker.key)  # as when its last word has expired
    (dead,) = look().dead
    assert (dead.name, dead.last_heartbeat, look().workers) == (worker.name, None, [])


def test_a_worker_that_said_goodbye_is_not_dead(look, redis_connection):
    worker = Worker(["default"], connection=redis_connection)
    worker.register_birth()
    worker.register_death()
    assert (look().workers, look().dead) == ([], [])


def test_what_others_left_there_harms_nothing(look, redis_connection):
    redis_connection.zadd("rq:scheduled:default", {"cron-x": 1, "other": 1, b"\xff": 2})
    redis_connection.rpush("rq:queue:default", b"\xff", "no job")
    found = look()
    assert (found.scheduled, found.waiting, found.oldest_waiting_at) == ({}, 2, None)


class EmptiedOnce(Worker):
    """Redis is emptied when it begins to wait for jobs, as by a restart without a dump."""

    emptied = False
    served_by: list[str]

    def procline(self, message):
        if message.startswith("Listening") and not self.emptied:
            self.emptied = True
            self.connection.flushdb()

    def register_death(self):
        self.served_by = services(self.connection, self.queues)[0].workers
        super().register_death()


@pytest.fixture
def _signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_a_worker_is_listed_again_after_redis_was_emptied(redis_connection):
    """RQ enters it at birth only; health would say for ever that nobody serves its queues."""
    worker = EmptiedOnce(["default"], connection=redis_connection)
    PatientWorker(lambda: worker, on_stop=lambda: None).work(max_jobs=None, max_idle_time=1)
    assert worker.emptied
    assert worker.served_by == [worker.name]
