"""What a drill left behind: the log, RQ's jobs, the outside table, and the faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from .app.outside import Row
from .faults import Fault

__all__ = ["AROUND_SECONDS", "OUTCOMES", "Evidence", "Job", "jobs_in"]

AROUND_SECONDS = 7
"""A worker waits five seconds for the database; servers need a moment to come up."""
LOOKED_SECONDS = 20
"""After a failover, until a runner leads and has looked at what Redis knows."""

OUTCOMES = frozenset(
    ["run_succeeded", "run_failed", "run_stopped", "run_cancelled", "run_declined", "run_lost"]
)
Event = dict[str, Any]
"""A row of the log, as the database has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What RQ said of a job when it was last looked at; no status once it is gone."""

    run_id: str
    status: str
    created_at: str
    """RQ's text, UTC; empty when the job was never seen whole."""
    queue: str = "default"


def jobs_in(connection: Redis, queue: str = "default") -> dict[str, Job]:
    """By run id: every job that the Redis of this queue has now. Raises redis-py's errors."""
    # Shorter and longer keys belong to results and dependents.
    keys = [key for key in connection.keys("rq:job:cron-*") if key.count(b":") == 2]
    pipeline = connection.pipeline(transaction=False)
    for key in keys:
        pipeline.hmget(key, "status", "created_at")
    found: dict[str, Job] = {}
    for key, (status, created) in zip(keys, pipeline.execute(), strict=True):
        run_id = key.decode().removeprefix("rq:job:cron-")
        found[run_id] = Job(
            run_id=run_id,
            status=(status or b"").decode(),
            created_at=(created or b"").decode(),
            queue=queue,
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Read from each source by its own means; nothing here asks the code under test."""

    events: list[Event]
    rows: list[Row]
    jobs: dict[str, Job]
    faults: list[Fault]

    def covered(self) -> dict[str, Counter[int]]:
        """How often each slot (seconds since the epoch) of each cron is decided."""
        periods = self.periods()
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for event in self.events:
            if event["type"] not in ("slot_fired", "slot_skipped", "slot_missed"):
                continue
            last = int(event["scheduled_for"].timestamp())
            first = event["data"].get("first")
            start = int(datetime.fromisoformat(first).timestamp()) if first else last
            found[event["cron"]].update(range(start, last + 1, periods[event["cron"]]))
        return found

    def periods(self) -> dict[str, int]:
        """Seconds between two slots."""
        return {
            event["cron"]: event["data"]["definition"]["every_seconds"]
            for event in self.events
            if event["type"] == "cron_registered" and "every_seconds" in event["data"]["definition"]
        }

    def retries(self, cron: str) -> int:
        definitions = {
            event["cron"]: event["data"]["definition"]
            for event in self.events
            if event["type"] == "cron_registered"
        }
        return int((definitions[cron].get("retries") or {"max": 0})["max"])

    def registered_at(self) -> dict[str, datetime]:
        return {
            event["cron"]: datetime.fromisoformat(
                event["data"].get("effective_from") or event["occurred_at"].isoformat()
            ).astimezone(UTC)
            for event in self.events
            if event["type"] == "cron_registered"
        }

    def decisions(self) -> dict[str, Event]:
        """By run id: what asked for the run."""
        return {
            str(event["run_id"]): event
            for event in self.events
            if event["type"] in ("slot_fired", "run_requested")
        }

    def streams(self) -> dict[str, list[Event]]:
        """By run id: the run's own events."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            if event["stream"].startswith("run/"):
                found[event["stream"].removeprefix("run/")].append(event)
        return found

    def attempts(self) -> dict[str, list[Row]]:
        """By run id: the rows of the outside table, in order of their beginning."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.run_id].append(row)
        return found

    def killed(self, pid: int, since: float) -> bool:
        """Whether a fault killed that process, at ``since`` or later."""
        return any(
            pid in fault.pids and fault.kind.startswith("kill") and fault.ended_at >= since
            for fault in self.faults
        )

    def trace_lost(self, at: float) -> bool:
        """Whether what was committed about then may be gone with everything that could tell of it: a
        failover lost it, and a Redis was struck before somebody had looked there."""
        return any(
            fault.kind == "fail_over"
            and fault.overlaps(at - AROUND_SECONDS, at + AROUND_SECONDS)
            and self.struck(("_redis",), fault.began_at, fault.ended_at + LOOKED_SECONDS)
            for fault in self.faults
        )

    def struck(self, words: tuple[str, ...], since: float, until: float) -> bool:
        """Whether a fault whose kind ends with one of the words lay in that time."""
        return any(
            fault.kind.endswith(words) and fault.overlaps(since, until) for fault in self.faults
        )
