"""Jobs that a worker took out of their queue and did not begin: finding them, and putting them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redis.exceptions import ResponseError
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.queue import Queue

from ...core.repair import JobFacts
from ..enqueuer import Enqueuer, RunRequest, job_id
from ..rq_jobs import JOBS_PER_ROUND_TRIP, decoded, look_up_at, say_not_cleaned

__all__ = ["JOBS_PER_PIECE", "put_back", "stranded"]

WAITING_JOBS_MAX = 200_000
"""In a longer queue nothing is looked for."""
JOBS_PER_PIECE = 5_000
"""So many are looked at before whoever asks has something else to do."""
SEARCHES_PER_PIECE = 20
"""Redis goes through all of a list for a job that is not in it, and serves nobody meanwhile."""


def stranded(enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> Iterator[list[RunRequest]]:
    """Those whose job is queued by its status, and in no queue and in nobody's hands by all else; a piece of
    them at a time, most of which are empty.

    RQ pops the id from the list, and only then notes who has it. A worker that dies in between
    leaves such a job; with a single queue its id is in the intermediate list, which RQ's workers
    look at every ten minutes, to fail the job. Raises redis-py's errors.
    """
    by_queue: dict[str, list[RunRequest]] = {}
    for request in requests:
        by_queue.setdefault(request.definition.queue, []).append(request)
    for name, group in by_queue.items():
        try:
            yield from _stranded_of(enqueuer.queue(name), group)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            say_not_cleaned(name, f"a key of the queue is of the wrong type: {error}")


def _stranded_of(queue: Queue, requests: list[RunRequest]) -> Iterator[list[RunRequest]]:
    if queue.count > WAITING_JOBS_MAX:
        return
    missing: dict[str, RunRequest] = {}
    for start in range(0, len(requests), JOBS_PER_PIECE):
        piece = requests[start : start + JOBS_PER_PIECE]
        missing |= {job_id(request.run_id): request for request in piece}
        yield []
    for start in range(0, WAITING_JOBS_MAX, JOBS_PER_PIECE):
        names = queue.connection.lrange(queue.key, start, start + JOBS_PER_PIECE - 1)
        for name in names:
            missing.pop(decoded(name), None)
        if len(names) < JOBS_PER_PIECE:
            break
        yield []
    # What moved up in the queue meanwhile was not seen in it, either.
    left = list(missing.values())
    for start in range(0, len(left), JOBS_PER_ROUND_TRIP):
        chunk = left[start : start + JOBS_PER_ROUND_TRIP]
        facts = look_up_at(queue.connection, chunk)
        doubtful = [r for r in chunk if _is_in_nobodys_hands(facts[r.run_id])]
        yield []
        for first in range(0, len(doubtful), SEARCHES_PER_PIECE):
            yield _confirmed(queue, doubtful[first : first + SEARCHES_PER_PIECE])


def _is_in_nobodys_hands(job: JobFacts) -> bool:
    return job.status == "queued" and not job.executions


def _confirmed(queue: Queue, requests: list[RunRequest]) -> list[RunRequest]:
    """The same question again, and whether the queue has them, answered for all at one instant."""
    pipeline = queue.connection.pipeline()
    for request in requests:
        name = job_id(request.run_id)
        pipeline.hmget(Job.key_for(name), "status", "origin")
        pipeline.zcard(ExecutionRegistry(name, connection=queue.connection).key)
        pipeline.lpos(queue.key, name)
    answers = pipeline.execute(raise_on_error=False)
    found = []
    for index, request in enumerate(requests):
        fields, executions, position = answers[index * 3 : index * 3 + 3]
        if any(isinstance(answer, ResponseError) for answer in (fields, executions, position)):
            continue  # look_up says what is wrong with the job
        queued = [decoded(field) for field in fields] == ["queued", queue.name]
        if queued and not executions and position is None:
            found.append(request)
    return found


def put_back(enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> None:
    """Push the ids of jobs that exist; the jobs keep their retries. Raises redis-py's errors."""
    for connection, chunk in enqueuer.by_connection(requests, JOBS_PER_ROUND_TRIP):
        pipeline = connection.pipeline()
        for request in chunk:
            queue = enqueuer.queue(request.definition.queue)
            pipeline.lrem(queue.intermediate_queue_key, 1, job_id(request.run_id))
            queue.push_job_id(job_id(request.run_id), pipeline=pipeline)
        pipeline.execute()
