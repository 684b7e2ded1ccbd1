"""Writing many of RQ's jobs at once, without building each.

RQ takes some 200 microseconds for a job, and nearly all of what it writes is the same for all jobs
with the same options. So RQ is asked once what it would write, into a pipeline that is never sent
(:class:`JobTemplate`). After that only what differs is made for each job, and a script in Redis puts
the two together. Whatever is not as expected is left to RQ.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID

from django_rq.queues import DjangoRQ
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.utils import now, str_to_date, utcformat
from rq.version import VERSION

from . import job_data
from .refusal import is_outage
from .run_request import RunRequest, job_id

__all__ = ["BulkJobs", "JobTemplate", "OpenQueue"]

RQ_NEWEST = (3, 0)
"""The newest RQ with which this was tested. With a later one RQ writes each job itself."""
TEMPLATES_MAX = 10_000
"""As many different options are remembered."""

_OF_EACH_JOB = ("data", "meta", "description")
_TIMES = ("created_at", "enqueued_at")

_WRITE = """
redis.call("SADD", KEYS[1], KEYS[2])
local push, same = ARGV[1], {unpack(ARGV, 3, 2 + ARGV[2])}
local left = {}
for job = 1, #KEYS - 2 do
    local key, at = KEYS[2 + job], 2 + ARGV[2] + 4 * (job - 1)
    local answer = redis.pcall(
        "HSET", key, "data", ARGV[at + 2], "meta", ARGV[at + 3], "description", ARGV[at + 4], unpack(same)
    )
    if type(answer) == "number" then
        answer = redis.pcall(push, KEYS[2], ARGV[at + 1])
    end
    if type(answer) ~= "number" then
        left[#left + 1] = job - 1
    end
end
return left
"""
"""Keys: the set of queues, the queue, each job. Arguments: the command that pushes; how many names and
values of fields are the same for all, and these; of each job its id, data, meta and description.
Returns the indexes of jobs that Redis did not take. An error before the first write ends it."""


class OpenQueue(NamedTuple):
    """A queue and what django-rq's settings say of it."""

    queue: Queue
    result_ttl: int | None
    """Seconds."""


class _Written(NamedTuple):
    """What RQ writes for one job."""

    queues_key: str
    queue_key: str
    push: str
    job_key: str
    fields: Mapping[str, Any]

    @classmethod
    def by_rq(cls, opened: OpenQueue, request: RunRequest) -> Self | None:
        """None when it is more than the fields of a hash and a push. Raises what RQ raises."""
        pipeline = opened.queue.connection.pipeline()
        data = job_data.job_data(request, opened.result_ttl)
        opened.queue.enqueue_many([data], pipeline=pipeline)
        match [arguments for arguments, _ in pipeline.command_stack]:
            case [
                ("SADD", queues_key, queue_key),
                ("HSET", job_key, *status),
                ("HSET", same_key, *fields),
                (("RPUSH" | "LPUSH") as push, pushed_to, pushed),
            ] if (same_key, pushed_to, pushed) == (job_key, queue_key, job_id(request.run_id)):
                pairs = [*status, *fields]
                names = map(_text, pairs[::2])
                found = dict(zip(names, pairs[1::2], strict=True))
                return cls(_text(queues_key), _text(queue_key), push, _text(job_key), found)
        return None


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """What is the same for all jobs with the same options in a queue."""

    queue: Queue
    queues_key: str
    queue_key: str
    push: str
    """The command: RPUSH, or LPUSH for ``at_front``."""
    fields: Mapping[str, Any]
    """Of the job's hash, without those of each job and the times."""

    @classmethod
    def of(cls, opened: OpenQueue, request: RunRequest) -> Self | None:
        """None where RQ has to write such jobs itself: a class of the project's, or anything that is
        not what is written here. Raises what RQ raises."""
        queue = opened.queue
        if type(queue) not in (Queue, DjangoRQ) or queue.job_class is not Job:
            return None
        if tuple(map(int, VERSION.split(".")[:2])) > RQ_NEWEST:
            return None
        found = _Written.by_rq(opened, _another(request))
        if found is None:
            return None
        fields = {
            name: value
            for name, value in found.fields.items()
            if name not in _OF_EACH_JOB and name not in _TIMES
        }
        template = cls(queue, found.queues_key, found.queue_key, found.push, fields)
        return template if template._writes_as_rq(opened, request) else None

    def _writes_as_rq(self, opened: OpenQueue, request: RunRequest) -> bool:
        """Compare with what RQ writes for that very run."""
        by_rq = _Written.by_rq(opened, request)
        if by_rq is None or not all(_is_time(by_rq.fields.get(name)) for name in _TIMES):
            return False
        times = {name: by_rq.fields[name] for name in _TIMES}
        of_job = zip(_OF_EACH_JOB, self.of_job(request), strict=True)
        fields = {**self.fields, **times, **dict(of_job)}
        return by_rq == _Written(
            self.queues_key, self.queue_key, self.push, _job_key(job_id(request.run_id)), fields
        )

    def of_job(self, request: RunRequest) -> tuple[bytes, bytes, str]:
        """Data, meta and description. Raises what the queue's serializer raises."""
        dumps = self.queue.serializer.dumps
        call: Any = (job_data.function_name(request), None, job_data.arguments(request), {})
        return (
            zlib.compress(dumps(call)),
            dumps(job_data.meta(request)),
            job_data.description(request),
        )


class BulkJobs:
    """Remembers templates between calls. One per thread."""

    def __init__(self) -> None:
        self._templates: dict[Any, JobTemplate | None] = {}

    def enqueue(
        self, requests: Iterable[RunRequest], queues: Mapping[str, OpenQueue]
    ) -> list[RunRequest]:
        """Enqueue jobs of one Redis in one transaction; returns those that are left to RQ.

        Raises redis-py's errors: for a Redis that is away (all is written where only its answer was lost),
        and, with nothing written, for one that takes no such transaction.
        """
        batches: dict[int, _Batch] = {}
        left: list[RunRequest] = []
        for request in requests:
            template = self._template(queues[request.definition.queue], request)
            values = None if template is None else _values(template, request)
            if template is None or values is None:
                left.append(request)
                continue
            batch = batches.setdefault(id(template), _Batch(template))
            batch.requests.append(request)
            batch.names.append(job_id(request.run_id))
            batch.values += (batch.names[-1], *values)
        if batches:
            left += _write(list(batches.values()))
        return left

    def _template(self, opened: OpenQueue, request: RunRequest) -> JobTemplate | None:
        definition = request.definition
        # JSON's values: equal texts are equal options, and 1 is not True.
        key = (definition.queue, repr(definition.options), repr(definition.retries))
        if key not in self._templates:
            if len(self._templates) >= TEMPLATES_MAX:
                self._templates.clear()
            try:
                self._templates[key] = JobTemplate.of(opened, request)
            except Exception as error:  # of RQ, of the serializer, or of Redis
                if is_outage(error):
                    raise
                return None  # RQ says why
        return self._templates[key]


def _values(template: JobTemplate, request: RunRequest) -> tuple[bytes, bytes, str] | None:
    try:
        return template.of_job(request)
    except Exception:  # of the serializer: RQ says why
        return None


@dataclass(slots=True)
class _Batch:
    """Jobs of one template: one call of the script."""

    template: JobTemplate
    requests: list[RunRequest] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """RQ's ids of the jobs."""
    values: list[str | bytes] = field(default_factory=list)
    """The script's arguments for each job, one after the other."""


def _write(batches: Sequence[_Batch]) -> list[RunRequest]:
    """Returns the requests that Redis did not take. Raises redis-py's errors."""
    connection: Redis = batches[0].template.queue.connection
    pipeline = connection.pipeline()
    written_at = utcformat(now())  # by RQ's clock, as in jobs that RQ writes
    for batch in batches:
        template = batch.template
        fields = {**template.fields, **dict.fromkeys(_TIMES, written_at)}
        same = [part for pair in fields.items() for part in pair]
        keys = [template.queues_key, template.queue_key, *map(_job_key, batch.names)]
        pipeline.eval(_WRITE, len(keys), *keys, template.push, len(same), *same, *batch.values)
    answers = pipeline.execute(raise_on_error=False)
    left: list[RunRequest] = []
    for batch, answer in zip(batches, answers, strict=True):
        if not isinstance(answer, Exception):
            left += [batch.requests[index] for index in answer]
        else:  # a Redis that is full or has no scripts, or a key of another type
            left += batch.requests
    return left


def _job_key(name: str) -> str:
    return _text(Job.key_for(name))


def _another(request: RunRequest) -> RunRequest:
    """A run that has nothing in common with this one but the options of its job."""
    name = f"not {request.definition.name}"
    slot = request.slot + timedelta(days=1) if request.slot else now()
    return replace(
        request,
        run_id=UUID(int=request.run_id.int ^ 1),
        definition=replace(request.definition, name=name, names=(), function="not:it"),
        slot=slot,
    )


def _is_time(value: Any) -> bool:
    text = _text(value)
    try:
        return utcformat(str_to_date(text)) == text
    except ValueError:
        return False


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
