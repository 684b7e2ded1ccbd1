"""RQ's records that a leader cannot read, noted in their Redis so that other processes can tell.

Each pass over the open runs writes the note anew, or takes it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from redis import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from ..core.wording import clause
from .run_request import job_id

__all__ = ["KEY", "note", "noted", "text_of"]

KEY = "rqcron:jobs:unreadable"
SECONDS_KEPT = 600
"""When nobody leads any more, the note goes too."""
LINES_MAX = 20
BYTES_READ_MAX = 20_000
"""Anybody may have put anything there."""


def text_of(cron: str, run_id: UUID, why: str) -> str:
    """One sentence for people."""
    return (
        f"RQ's record of job {job_id(run_id)} of cron {cron} cannot be read: {why}. Its run is left "
        "alone; delete or repair the job's keys in Redis."
    )


def note(connection: Redis, texts: Sequence[str]) -> None:
    """These cannot be read now, and no others. Raises redis-py's errors."""
    if not texts:
        connection.delete(KEY)
        return
    lines = [clause(text) for text in texts[:LINES_MAX]]
    if len(texts) > LINES_MAX:
        lines.append(f"RQ's records of {len(texts) - LINES_MAX} more jobs cannot be read")
    connection.set(KEY, "\n".join(lines), ex=SECONDS_KEPT)


def noted(connections: Iterable[Redis]) -> list[str]:
    """What was noted last, a sentence each. Raises redis-py's errors."""
    found: list[str] = []
    for connection in connections:
        try:
            stored: Any = connection.execute_command(  # type: ignore[no-untyped-call]
                "GETRANGE", KEY, 0, BYTES_READ_MAX - 1, **{NEVER_DECODE: True}
            )
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            continue  # the next pass overwrites it
        lines = stored.decode(errors="replace").splitlines()[: LINES_MAX + 1]
        found += [f"{clause(line)}." for line in lines if line]
    return found
