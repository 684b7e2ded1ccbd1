"""Which jobs were there: what tells a queue that somebody emptied from a Redis that lost it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from ...core.repair import JobFacts
from ..enqueuer import Enqueuer, RunRequest
from ..rq_jobs import look_up
from .continuity import identity_of

__all__ = ["SeenJobs"]


class SeenJobs:
    """What this process saw of waiting jobs. A runner that starts has seen none, and then a job that
    is gone counts as lost, and is enqueued again."""

    def __init__(self) -> None:
        self._identities: dict[str, str] = {}
        """Of each Redis, at the beginning of the pass."""
        self._asked: set[str] = set()
        """Which of them were asked in this pass."""
        self._seen: dict[UUID, str] = {}
        """By run, the identity of the Redis that had its job."""
        self._marks = True

    def begin(self, open_runs: Iterable[UUID], *, marks: bool) -> None:
        """A new pass; without ``marks`` nothing is written into Redis."""
        self._marks = marks
        self._asked.clear()
        self._seen = {run: self._seen[run] for run in open_runs if run in self._seen}

    def note(self, redis: str, run_ids: Iterable[UUID]) -> None:
        """These were handed over just now."""
        if identity := self._identities.get(redis):
            self._seen.update(dict.fromkeys(run_ids, identity))

    def look_up(self, enqueuer: Enqueuer, requests: Sequence[RunRequest]) -> dict[UUID, JobFacts]:
        """What RQ knows of the jobs, all in one Redis, and which of them were deleted. Raises
        redis-py's errors."""
        queue = requests[0].definition.queue
        redis, connection = enqueuer.redis_of(queue), enqueuer.queue(queue).connection
        if redis not in self._asked:  # before the look: what is seen then was there under this
            self._identities[redis] = identity_of(connection, mark=self._marks)
            self._asked.add(redis)
        found = look_up(enqueuer, requests)
        gone = [run for run, job in found.items() if not (job.status or job.unreadable)]
        if any(run in self._seen for run in gone):
            identity = identity_of(connection)  # after the look: nothing was lost until then
            for run in gone:
                if identity and self._seen.get(run) == identity:
                    found[run] = replace(found[run], deleted=True)
        self.note(redis, [run for run, job in found.items() if job.status])
        return found
