"""Who serves the queues, by RQ's own records: workers, schedulers, and what waits for them.

Two round trips for all queues of a Redis, and bounded answers, however many workers and jobs there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from redis import Redis
from rq import Queue
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.scheduler import RQScheduler
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import str_to_date
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from .run_request import JOB_ID_PREFIX

__all__ = ["DeadWorker", "QueueService", "services"]

WORKERS_LOOKED_AT_MAX = 100
"""Of each queue; a set of thousands is looked at by sample."""
RETRIES_LOOKED_AT_MAX = 100
SILENT_SECONDS = 60
"""An idle worker says something every seven minutes only, but it listens all the time. One that does
not listen is believed for so long after its last word."""
_KEY_PREFIX = "rq:worker:"


@dataclass(frozen=True, slots=True)
class DeadWorker:
    """One that fell silent without a word."""

    name: str
    last_heartbeat: datetime | None
    """None when even that is gone."""


@dataclass(slots=True, kw_only=True)
class QueueService:
    """Who serves one queue."""

    queue: str
    suspended: bool = False
    """``rq suspend``: no worker of this Redis takes a job."""
    has_scheduler: bool = False
    workers: list[str] = field(default_factory=list)
    """Those that are alive."""
    dead: list[DeadWorker] = field(default_factory=list)
    waiting: int = 0
    """Jobs in the queue, those of others included."""
    oldest_waiting_at: datetime | None = None
    scheduled: dict[UUID, datetime] = field(default_factory=dict)
    """Runs whose job waits for its time, as between two attempts, and until when."""
    now: datetime
    """By Redis' clock."""


def services(connection: Redis, queues: Sequence[Queue]) -> list[QueueService]:
    """Of queues that are all in this Redis. Raises redis-py's errors."""
    if not queues:
        return []
    first = connection.pipeline(transaction=False)
    first.time()
    first.exists(WORKERS_SUSPENDED)
    for queue in queues:
        first.srandmember(WORKERS_BY_QUEUE_KEY % queue.name, WORKERS_LOOKED_AT_MAX)
        first.exists(RQScheduler.get_locking_key(queue.name))
        first.llen(queue.key)
        first.lindex(queue.key, 0)
        first.zrange(_scheduled_key(queue), 0, RETRIES_LOOKED_AT_MAX - 1, withscores=True)
    (seconds, _), suspended, *answers = first.execute()
    now = datetime.fromtimestamp(seconds, UTC)
    found: list[QueueService] = []
    asked: list[tuple[QueueService, list[str], str]] = []
    for at, queue in enumerate(queues):
        members, lock, length, oldest, scheduled = answers[at * 5 : at * 5 + 5]
        service = QueueService(
            queue=queue.name,
            suspended=bool(suspended),
            has_scheduler=bool(lock),
            waiting=length,
            scheduled=_scheduled(scheduled),
            now=now,
        )
        found.append(service)
        asked.append((service, sorted(map(_text, members)), _text(oldest) if oldest else ""))
    _look_at_workers(connection, asked)
    return found


def _look_at_workers(connection: Redis, asked: list[tuple[QueueService, list[str], str]]) -> None:
    second = connection.pipeline(transaction=False)
    for _, workers, oldest in asked:
        second.hget(Job.key_for(oldest), "enqueued_at")
        for key in workers:
            second.hmget(key, "last_heartbeat", "birth", "death")
            channel = PUBSUB_CHANNEL_TEMPLATE % key.removeprefix(_KEY_PREFIX)
            second.execute_command("PUBSUB", "NUMSUB", channel)  # type: ignore[no-untyped-call]
    answers = iter(second.execute())
    for service, workers, _ in asked:
        service.oldest_waiting_at = _date(next(answers))
        for key in workers:
            last_heartbeat, birth, death = next(answers)
            listens = bool(next(answers)[1])
            name, heard_at = key.removeprefix(_KEY_PREFIX), _date(last_heartbeat)
            if death:
                continue  # it said goodbye
            if birth and (listens or _is_recent(heard_at, service.now)):
                service.workers.append(name)
            else:
                service.dead.append(DeadWorker(name, heard_at))


def _is_recent(heard_at: datetime | None, now: datetime) -> bool:
    return heard_at is not None and abs((now - heard_at).total_seconds()) <= SILENT_SECONDS


def _scheduled(members: list[tuple[Any, float]]) -> dict[UUID, datetime]:
    found: dict[UUID, datetime] = {}
    for member, score in members:
        name = _text(member)
        if not name.startswith(JOB_ID_PREFIX):
            continue
        with suppress(ValueError, OverflowError, OSError):
            found[UUID(name.removeprefix(JOB_ID_PREFIX))] = datetime.fromtimestamp(score, UTC)
    return found


def _scheduled_key(queue: Queue) -> str:
    return ScheduledJobRegistry(queue=queue).key  # type: ignore[no-untyped-call]


def _date(value: Any) -> datetime | None:
    if not value:
        return None
    with suppress(ValueError, TypeError, OverflowError):
        found = str_to_date(value if isinstance(value, bytes) else str(value).encode())
        return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
