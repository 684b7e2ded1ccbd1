"""Handing runs to RQ: plain jobs, many at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import django_rq
from django.conf import settings
from django_rq.queues import get_result_ttl
from redis import Redis
from redis.exceptions import RedisError
from rq import Callback, Queue, Retry

from .. import clock
from ..core.definition import Definition
from ..core.events import Event, make
from ..core.events.make import InRun

__all__ = ["Enqueued", "Enqueuer", "RunRequest", "job_id"]

log = logging.getLogger(__name__)
T = TypeVar("T")

JOBS_PER_PIPELINE_MAX = 1000
"""One MULTI/EXEC blocks the server while it runs and is held in memory on both sides."""
CALLBACK_SECONDS_MAX = 30
META_KEY = "rqcron"
"""Where a job's meta holds the slot, so that a worker knows it even without the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run whose decision is committed and that RQ shall execute."""

    run_id: UUID
    definition: Definition
    slot: datetime | None
    trigger: str = "slot"

    @property
    def cron(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What became of a request."""

    request: RunRequest
    at: datetime
    error: str = ""
    """Empty when the job is in Redis."""
    error_type: str = ""

    def event(self, actor: str, *, found: str = "") -> Event:
        """The fact for the log. Its version is a guess: most runs have no event before it."""
        request = self.request
        queue = request.definition.queue
        place = InRun(
            cron=request.cron,
            run_id=request.run_id,
            version=1,
            slot=request.slot,
            actor=actor,
            at=self.at,
        )
        if self.error:
            return make.enqueue_failed(
                queue=queue, error_type=self.error_type, error_message=self.error, **place
            )
        return make.run_enqueued(queue=queue, job_id=job_id(request.run_id), found=found, **place)


def job_id(run_id: UUID) -> str:
    """RQ takes letters, digits, ``_`` and ``-`` only."""
    return f"cron-{run_id}"


class Enqueuer:
    """Keeps the queues, and so the connections, between calls. One per thread."""

    def __init__(self, seconds_max: float | None = None) -> None:
        """``seconds_max``: how long one answer of Redis may take, where the project's settings give
        no bound (``SOCKET_TIMEOUT`` in RQ_QUEUES); None: as long as it takes."""
        self._seconds_max = seconds_max
        self._queues: dict[str, Queue] = {}
        self._ttls: dict[str, int | None] = {}

    def enqueue(self, requests: Sequence[RunRequest]) -> Iterator[list[Enqueued]]:
        """Enqueue in pipelines, one result list for each. Redis errors become results.

        Each pipeline is a transaction, so a job is in Redis whole or not at all.
        """
        for group in self._by_redis(requests):
            for chunk in _chunks(group, JOBS_PER_PIPELINE_MAX):
                yield self._enqueue_chunk(chunk)

    def connections(self) -> list[Redis]:
        """One connection for each Redis in RQ_QUEUES."""
        found: dict[str, Redis] = {}
        for name in settings.RQ_QUEUES:
            connection = self.queue(name).connection
            found.setdefault(_redis_key(connection), connection)
        return list(found.values())

    def by_connection(
        self, requests: Sequence[RunRequest], size: int
    ) -> Iterator[tuple[Redis, list[RunRequest]]]:
        """The requests in chunks, each with the connection of its Redis."""
        for group in self._by_redis(requests):
            for chunk in _chunks(group, size):
                yield self.queue(chunk[0].definition.queue).connection, chunk

    def _enqueue_chunk(self, requests: list[RunRequest]) -> list[Enqueued]:
        by_queue: dict[str, list[RunRequest]] = {}
        for request in requests:
            by_queue.setdefault(request.definition.queue, []).append(request)
        try:
            pipeline = None
            for name, group in by_queue.items():
                queue = self.queue(name)
                data = [self._job_data(request) for request in group]
                if not queue.is_async:  # runs the jobs here and now, as RQ does in tests
                    queue.enqueue_many(data)
                    continue
                pipeline = pipeline or queue.connection.pipeline()
                queue.enqueue_many(data, pipeline=pipeline)
            if pipeline is not None:
                pipeline.execute()
        except RedisError as error:
            now = clock.now()
            kind, text = type(error).__name__, str(error).rstrip(".") or "no answer"
            return [
                Enqueued(request=request, at=now, error=text, error_type=kind)
                for request in requests
            ]
        now = clock.now()
        return [Enqueued(request=request, at=now) for request in requests]

    def _job_data(self, request: RunRequest) -> Any:
        definition = request.definition
        options = definition.options
        slot = request.slot.isoformat() if request.slot else None
        retry = None
        if definition.retries is not None:
            retry = Retry(
                max=definition.retries.max,
                interval=list(definition.retries.intervals),
                enqueue_at_front=definition.retries.enqueue_at_front,
            )
        return Queue.prepare_data(
            "rqcron_events.worker.run_cron",
            args=(definition.name, str(request.run_id)),
            job_id=job_id(request.run_id),
            description=f"{definition.name} for {slot or request.trigger}",
            timeout=options.get("timeout"),
            ttl=options.get("ttl"),
            result_ttl=options.get("result_ttl", self._ttls.get(definition.queue)),
            failure_ttl=options.get("failure_ttl"),
            at_front=bool(options.get("at_front")),
            meta={**options.get("meta", {}), META_KEY: {"slot": slot, "trigger": request.trigger}},
            retry=retry,
            on_success=_ON_SUCCESS,
            on_failure=_ON_FAILURE,
            on_stopped=_ON_STOPPED,
        )

    def queue(self, name: str) -> Queue:
        """django-rq's queue of that name."""
        if name not in self._queues:
            # "auto": enqueue now. The runner commits its decision first, so it has no
            # transaction to wait for; enqueue_many would not wait for one anyway.
            self._queues[name] = queue = django_rq.get_queue(name, commit_mode="auto")
            if self._seconds_max is not None:
                _bound_answers(queue.connection, self._seconds_max)
            self._ttls[name] = get_result_ttl(name)
        return self._queues[name]

    def _by_redis(self, requests: Iterable[RunRequest]) -> list[list[RunRequest]]:
        groups: dict[str, list[RunRequest]] = {}
        keys: dict[str, str] = {}
        for request in requests:
            name = request.definition.queue
            if name not in keys:
                keys[name] = _redis_key(self.queue(name).connection)
            groups.setdefault(keys[name], []).append(request)
        return list(groups.values())


def _bound_answers(connection: Redis, seconds_max: float) -> None:
    """For connections that are made from now on. A Redis that is frozen neither answers nor
    refuses, and a client without a bound waits for it for ever."""
    given = connection.connection_pool.connection_kwargs
    for key in ("socket_timeout", "socket_connect_timeout"):
        if given.get(key) is None:
            given[key] = seconds_max


def _redis_key(connection: Redis) -> str:
    """Equal for two connections to one Redis database."""
    pool = connection.connection_pool
    service = getattr(pool, "service_name", "")
    kwargs = pool.connection_kwargs
    return repr((service, *[kwargs.get(key) for key in ("host", "port", "path", "db", "username")]))


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


_ON_SUCCESS = Callback("rqcron_events.worker.on_success", timeout=CALLBACK_SECONDS_MAX)
_ON_FAILURE = Callback("rqcron_events.worker.on_failure", timeout=CALLBACK_SECONDS_MAX)
_ON_STOPPED = Callback("rqcron_events.worker.on_stopped", timeout=CALLBACK_SECONDS_MAX)
