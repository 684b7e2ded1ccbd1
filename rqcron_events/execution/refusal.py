"""Telling an outage of Redis from the refusal of one run, and undoing what is half done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from redis import exceptions
from rq import Queue
from rq.job import Job

from ..conf import conf
from ..core.bounded import TYPE_BYTES_MAX, bounded
from ..core.wording import clause
from .run_request import RunRequest, job_id

__all__ = ["cause_of", "is_outage", "refused_commands", "take_back"]

_OUTAGES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    # redis-py 4 has no such class, and leaves the code OOM in the words.
    getattr(exceptions, "OutOfMemoryError", exceptions.ConnectionError),
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)
_OUTAGE_CODES = re.compile(r"(MISCONF|NOREPLICAS|BUSY|OOM|READONLY|LOADING|MASTERDOWN)\b")
"""The server's own words, where redis-py has no class for them: it takes nothing from anybody."""
_IN_PIPELINE = "caused error: "
"""redis-py puts the command before the server's words."""


def is_outage(error: BaseException) -> bool:
    """Redis does not answer, or takes nothing from anybody for now."""
    if isinstance(error, _OUTAGES):
        return True
    words = str(error).rpartition(_IN_PIPELINE)[2] if _is_from_redis(error) else ""
    return _OUTAGE_CODES.match(words) is not None


def _is_from_redis(error: BaseException) -> bool:
    return isinstance(error, exceptions.RedisError)


def cause_of(error: BaseException) -> tuple[str, str]:
    """Type and message for the log, which takes no text without bounds."""
    try:
        text = clause(error)
    except Exception:  # an exception of the project's own classes
        text = ""
    kind = bounded(type(error).__name__, TYPE_BYTES_MAX)
    return kind, bounded(text, conf().message_bytes_max) or "no answer"


def refused_commands(
    requests: Iterable[RunRequest], commands: Sequence[Any], answers: Sequence[Any]
) -> dict[UUID, list[Any]]:
    """The commands of a transaction that Redis refused, by the run that they are about. The others
    took effect: EXEC rolls nothing back. Each is its arguments, with the error at the end. Raises
    the error of an outage."""
    failed = [
        (arguments, answer)
        for (arguments, _), answer in zip(commands, answers, strict=True)
        if isinstance(answer, Exception)
    ]
    found: dict[UUID, list[Any]] = {}
    if not failed:
        return found
    for _, error in failed:
        if is_outage(error):
            raise error
    for request in requests:
        name = job_id(request.run_id)
        for arguments, error in failed:
            if any(name in _text(argument) for argument in arguments[:3]):
                found.setdefault(request.run_id, []).append((*arguments, error))
    return found


def take_back(queue: Queue, refused: Mapping[UUID, list[Any]]) -> set[UUID]:
    """Take jobs that are only half in Redis out again; returns those that a worker has taken
    already, and that run. Raises redis-py's errors."""
    pipeline = queue.connection.pipeline(transaction=False)
    for run_id in refused:
        pipeline.lrem(queue.key, 0, job_id(run_id))
    taken: set[UUID] = set()
    for (run_id, commands), removed in zip(
        refused.items(), pipeline.execute(raise_on_error=False), strict=True
    ):
        was_pushed = not any(str(command[0]).endswith("PUSH") for command in commands)
        if was_pushed and removed == 0:
            taken.add(run_id)
    gone = [Job.key_for(job_id(run_id)) for run_id in refused if run_id not in taken]
    if gone:
        queue.connection.delete(*gone)
    return taken


def _text(argument: Any) -> str:
    return argument.decode(errors="replace") if isinstance(argument, bytes) else str(argument)
