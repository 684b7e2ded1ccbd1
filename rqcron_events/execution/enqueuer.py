"""Handing runs to RQ: plain jobs, many at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import django_rq
from django_rq.queues import get_result_ttl
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue

from .. import clock
from ..conf import rq_queues
from ..core.definition import Definition
from ..errors import QueueUnusable
from .bulk_jobs import BulkJobs, OpenQueue
from .job_data import META_KEY, job_data, try_dry
from .refusal import cause_of, is_outage, refused_commands, take_back
from .run_request import Enqueued, RunRequest, job_id

__all__ = ["META_KEY", "Enqueued", "Enqueuer", "RunRequest", "job_id", "sentinels_of"]

log = logging.getLogger(__name__)
T = TypeVar("T")

JOBS_PER_PIPELINE_MAX = 250
"""One MULTI/EXEC blocks the server while it runs, and is held in memory on both sides; and what is in the next one
waits for it."""


@dataclass(frozen=True, slots=True)
class _Guilty:
    """A definition of which RQ took no job the last time, and why."""

    definition: Definition
    error: Exception


class Enqueuer:
    """Keeps the queues, and so the connections, between calls. One per thread."""

    def __init__(self, seconds_max: float | None = None, *, tries_once: bool = False) -> None:
        """``seconds_max``: how long one answer of Redis may take, where the project's settings give
        no bound (``SOCKET_TIMEOUT`` in RQ_QUEUES); None: as long as it takes. ``tries_once``: no
        longer whatever the settings give, and nothing is asked again."""
        self._seconds_max = seconds_max
        self._tries_once = tries_once
        self._queues: dict[str, OpenQueue] = {}
        self._redis: dict[str, str] = {}
        """By queue, what tells its Redis from others."""
        self._bulk = BulkJobs()
        self._guilty: dict[str, _Guilty] = {}
        """By cron. The next run of one is tried apart from the others."""
        self._refused: dict[str, Enqueued] = {}
        """By cron, what was said, until a run of it is taken again."""

    def enqueue(self, requests: Sequence[RunRequest]) -> Iterator[list[Enqueued]]:
        """Enqueue in pipelines. Errors become results (I10); each list is of one kind: all in Redis,
        all refused, or all of a Redis that is away.

        Each pipeline is a transaction, so a job is in Redis whole or not at all. What RQ or Redis
        refuses is taken apart until the guilty stand alone.
        """
        groups, results = self._usable(requests)
        yield from self._by_kind(results)
        for group in groups:
            away: Enqueued | None = None
            for chunk in _chunks(group, JOBS_PER_PIPELINE_MAX):
                if away is not None:
                    yield [replace(away, request=request) for request in chunk]
                    continue
                results = self._enqueue_chunk(chunk)
                away = next((result for result in results if result.is_outage), None)
                yield from self._by_kind(results)

    def servers(self) -> dict[str, Redis]:
        """One connection for each Redis of the queues in RQ_QUEUES that can be used, by address."""
        found: dict[str, Redis] = {}
        for name in rq_queues():
            try:
                connection = self.queue(name).connection
            except QueueUnusable:  # health names it
                continue
            found.setdefault(redis_key(connection), connection)
        return found

    def queue_names(self) -> list[str]:
        """The queues in RQ_QUEUES that can be used."""
        return [name for name in rq_queues() if self.redis_of(name)]

    def unusable_queues(self) -> list[str]:
        """One sentence for each queue in RQ_QUEUES that cannot be used."""
        found = []
        for name in rq_queues():
            try:
                self.queue(name)
            except QueueUnusable as error:
                found.append(str(error))
        return found

    def by_connection(
        self, requests: Sequence[RunRequest], size: int
    ) -> Iterator[tuple[Redis, list[RunRequest]]]:
        """The requests in chunks, each with the connection of its Redis; those whose queue cannot
        be used are left out."""
        for group in self.by_redis(requests).values():
            for chunk in _chunks(group, size):
                yield self.queue(chunk[0].definition.queue).connection, chunk

    def by_redis(self, requests: Iterable[RunRequest]) -> dict[str, list[RunRequest]]:
        """The requests of each Redis, by what tells it from others; the same are left out."""
        found: dict[str, list[RunRequest]] = {}
        keys: dict[str, str] = {}
        for request in requests:
            name = request.definition.queue
            if name not in keys:
                keys[name] = self.redis_of(name)
            if keys[name]:
                found.setdefault(keys[name], []).append(request)
        return found

    def redis_of(self, queue: str) -> str:
        """What tells the queue's Redis from others; empty when the queue cannot be used."""
        if queue not in self._redis:
            try:
                self._opened(queue)
            except QueueUnusable:
                return ""
        return self._redis[queue]

    def why_not(self, request: RunRequest) -> Exception | None:
        """What RQ would raise for a job of the request, found without asking Redis."""
        name = request.definition.queue
        try:
            opened = self._queues.get(name) or self._opened(name)
            try_dry(opened.queue, request, opened.result_ttl)
        except Exception as error:  # of RQ, or of the project's classes and serializer
            return error
        return None

    def queue(self, name: str) -> Queue:
        """django-rq's queue of that name. Raises QueueUnusable."""
        if name not in self._queues:
            self._opened(name)
        return self._queues[name].queue

    # Usable or not

    def _opened(self, name: str) -> OpenQueue:
        if name not in rq_queues():
            known = ", ".join(sorted(rq_queues())) or "(none are defined)"
            raise QueueUnusable(
                f"Queue {name!r} is not in RQ_QUEUES. Add it there, or give the cron one of: {known}."
            )
        try:
            django_rq.get_connection(name)
        except Exception as error:  # of redis-py or a cache; its text may hold parts of a password
            raise QueueUnusable(
                f"Queue {name!r} of RQ_QUEUES gives no address ({type(error).__name__}). Set its URL "
                "to redis://127.0.0.1:6379/0, or its HOST, PORT and DB."
            ) from None
        try:
            # "auto": enqueue now. The runner commits its decision first, so it has no
            # transaction to wait for; enqueue_many would not wait for one anyway.
            queue = django_rq.get_queue(name, commit_mode="auto")
            address = redis_key(queue.connection)
            if self._seconds_max is not None:
                _bound_answers(queue.connection, self._seconds_max, tries_once=self._tries_once)
            opened = OpenQueue(queue, get_result_ttl(name))
        except Exception as error:  # of the settings, or of the project's queue class
            kind, text = cause_of(error)
            raise QueueUnusable(
                f"Queue {name!r} of RQ_QUEUES cannot be used: {kind}: {text}. Correct its settings."
            ) from error
        self._queues[name], self._redis[name] = opened, address
        return opened

    def _usable(
        self, requests: Sequence[RunRequest]
    ) -> tuple[list[list[RunRequest]], list[Enqueued]]:
        """The requests of each Redis, and the results of those whose queue cannot be used."""
        groups = self.by_redis(requests)
        if sum(map(len, groups.values())) == len(requests):
            return list(groups.values()), []
        refused = []
        for request in requests:
            try:
                self.queue(request.definition.queue)
            except QueueUnusable as error:
                refused.append(self._failed(request, error))
        return list(groups.values()), refused

    # Handing over

    def _enqueue_chunk(self, requests: list[RunRequest]) -> list[Enqueued]:
        """Of one Redis. Who was guilty the last time is tried alone: the others go in one trip."""
        parts: list[list[RunRequest]] = []
        later: list[RunRequest] = []
        suspects: dict[str, list[RunRequest]] = {}
        for request in requests:
            if not self.queue(request.definition.queue).is_async:
                self._guilty.pop(request.cron, None)
                parts.append([request])  # RQ runs it here and now, so it is not tried twice
            elif self._is_guilty(request):
                suspects.setdefault(request.cron, []).append(request)
            else:
                later.append(request)
        parts.append(later)
        for cron, (first, *others) in suspects.items():
            del self._guilty[cron]
            parts += [[first], others]
        return self._in_turn(parts, self._hand_over)

    def _in_turn(
        self,
        parts: Iterable[list[RunRequest]],
        hand_over: Callable[[list[RunRequest]], list[Enqueued]],
    ) -> list[Enqueued]:
        results: list[Enqueued] = []
        away: Enqueued | None = None
        for part in parts:
            if away is not None:  # asking again would wait once more
                results += [replace(away, request=request) for request in part]
                continue
            found = hand_over(part)
            away = next((result for result in found if result.is_outage), None)
            results += found
        return results

    def _hand_over(self, requests: list[RunRequest]) -> list[Enqueued]:
        """In bulk what can be, in one transaction; what Redis does not take of it, RQ tries."""
        able: list[RunRequest] = []
        others: list[RunRequest] = []
        for request in requests:
            (able if self._can_go_in_bulk(request) else others).append(request)
        try:
            left = self._bulk.enqueue(able, self._queues) if able else []
        except Exception as error:
            if is_outage(error):
                return [self._failed(request, error) for request in requests]
            left = able  # nothing of it was written
        if left:
            runs_left = {id(request) for request in left}
            able = [request for request in able if id(request) not in runs_left]
        return self._done(able) + self._by_rq(left + others)

    def _can_go_in_bulk(self, request: RunRequest) -> bool:
        return self.queue(request.definition.queue).is_async and not self._is_guilty(request)

    def _by_rq(self, requests: list[RunRequest]) -> list[Enqueued]:
        """In one transaction, or, when that is refused, in halves: few of many are guilty."""
        known = [request for request in requests if self._is_guilty(request)]
        results = [self._failed(request, self._guilty[request.cron].error) for request in known]
        if known:
            requests = [request for request in requests if not self._is_guilty(request)]
        if not requests:
            return results
        try:
            refused = self._execute(requests)
        except Exception as error:  # of Redis, of RQ, or of the project's classes
            if not is_outage(error) and len(requests) > 1:
                ordered = sorted(requests, key=lambda r: (r.definition.queue, r.cron))
                middle = len(ordered) // 2
                return results + self._in_turn([ordered[:middle], ordered[middle:]], self._by_rq)
            if not is_outage(error):
                (request,) = requests
                self._guilty[request.cron] = _Guilty(request.definition, error)
            return results + [self._failed(request, error) for request in requests]
        for request in requests if refused else ():
            if request.run_id in refused:
                results.append(self._failed(request, refused[request.run_id]))
        return results + self._done([r for r in requests if r.run_id not in refused])

    def _done(self, requests: list[RunRequest]) -> list[Enqueued]:
        now, redis = clock.now(), self._redis
        return [
            Enqueued(request=request, at=now, redis=redis[request.definition.queue])
            for request in requests
        ]

    def _execute(self, requests: list[RunRequest]) -> dict[UUID, Exception]:
        """All in one transaction, or nothing when this raises; returns single refusals of Redis."""
        by_queue: dict[str, list[RunRequest]] = {}
        for request in requests:
            by_queue.setdefault(request.definition.queue, []).append(request)
        pipeline = None
        for name, group in by_queue.items():
            queue, result_ttl = self._queues[name]
            data = [job_data(request, result_ttl) for request in group]
            if not queue.is_async:
                queue.enqueue_many(data)
                continue
            pipeline = pipeline or queue.connection.pipeline()
            queue.enqueue_many(data, pipeline=pipeline)
        if pipeline is None:
            return {}
        commands = list(pipeline.command_stack)
        refused = refused_commands(requests, commands, pipeline.execute(raise_on_error=False))
        for name, group in by_queue.items() if refused else ():
            half = {r.run_id: refused[r.run_id] for r in group if r.run_id in refused}
            for run_id in take_back(self.queue(name), half):
                del refused[run_id]
        return {run_id: commands[0][-1] for run_id, commands in refused.items()}

    def _is_guilty(self, request: RunRequest) -> bool:
        guilty = self._guilty.get(request.cron) if self._guilty else None
        return guilty is not None and guilty.definition == request.definition

    def _failed(self, request: RunRequest, error: Exception) -> Enqueued:
        kind, text = cause_of(error)
        return Enqueued(
            request=request,
            at=clock.now(),
            error=text,
            error_type=kind,
            is_outage=is_outage(error),
            redis=self.redis_of(request.definition.queue),
        )

    def _by_kind(self, results: list[Enqueued]) -> Iterator[list[Enqueued]]:
        done = [result for result in results if not result.error]
        refused = [result for result in results if result.is_refused]
        away = [result for result in results if result.is_outage]
        self._say(done, refused)
        yield from filter(None, (done, refused, away))

    def _say(self, done: list[Enqueued], refused: list[Enqueued]) -> None:
        """Of each cron once, until a run of it is taken again or the cause is another."""
        for result in done if self._refused else ():
            self._refused.pop(result.request.cron, None)
        for result in refused:
            before = self._refused.get(result.request.cron)
            if before is None or before.cause != result.cause:
                self._refused[result.request.cron] = result
                log.error(
                    "%s Its runs stay open, and are enqueued when the cause is gone; other crons go "
                    "on.",
                    _refused_text(result),
                    extra={"action": "run_refused", "cron": result.request.cron},
                )

    @property
    def refused(self) -> list[str]:
        """One sentence for each cron whose last run was refused."""
        return [_refused_text(self._refused[name]) for name in sorted(self._refused)]


def _refused_text(result: Enqueued) -> str:
    return f"RQ refuses jobs of cron {result.request.cron!r}: {result.error_type}: {result.error}."


def _bound_answers(connection: Redis, seconds_max: float, *, tries_once: bool) -> None:
    """For connections that are made from now on. A Redis that is frozen neither answers nor
    refuses, and a client without a bound waits for it for ever."""
    given = connection.connection_pool.connection_kwargs
    for key in ("socket_timeout", "socket_connect_timeout"):
        if given.get(key) is None or (tries_once and given[key] > seconds_max):
            given[key] = seconds_max
    if tries_once:
        given["retry"] = Retry(NoBackoff(), 0)


def redis_key(connection: Redis) -> str:
    """An address for people, without a password; equal for two connections to one Redis database."""
    pool: Any = connection.connection_pool
    given = pool.connection_kwargs
    place = given.get("path") or f"{given.get('host')}:{given.get('port')}"
    if sentinels := sentinels_of(pool):
        place = f"{pool.service_name} at {sentinels}"
    user = given.get("username")
    return f"{f'{user}@' if user else ''}{place}/{given.get('db') or 0}"


def sentinels_of(pool: Any) -> str:
    """Their addresses; empty without Sentinel. Each deployment may call its master ``mymaster``."""
    manager = getattr(pool, "sentinel_manager", None)
    known = manager.sentinels if manager is not None else []
    places = (sentinel.connection_pool.connection_kwargs for sentinel in known)
    return ",".join(sorted(f"{given.get('host')}:{given.get('port')}" for given in places))


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
