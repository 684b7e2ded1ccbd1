"""What is stored beside this file, and how it gets into a database and a Redis."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TIMES = ("scheduled_for", "occurred_at", "recorded_at")


def stored(name: str) -> Any:
    """A JSON file."""
    return json.loads((HERE / name).read_text())


def stored_log() -> list[dict[str, Any]]:
    """The rows of ``log.jsonl``, times and ids as text."""
    return [json.loads(line) for line in (HERE / "log.jsonl").read_text().splitlines()]


def parsed_times(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its times as datetimes."""
    return row | {name: datetime.fromisoformat(row[name]) for name in TIMES if row[name]}


def load(rows: Iterable[dict[str, Any]]) -> None:
    """Put rows into the empty log as they are, ids and ``recorded_at`` included."""
    from django.core.management.color import no_style
    from django.db import connection

    from rqcron_events.models import CronEvent

    with connection.cursor() as cursor:
        brought = "ALTER TABLE rqcron_event ALTER COLUMN id SET GENERATED {}"
        if connection.vendor == "postgresql":  # a dump's restore would use COPY, which may
            cursor.execute(brought.format("BY DEFAULT"))
        CronEvent.objects.bulk_create(CronEvent(**parsed_times(row)) for row in rows)
        if connection.vendor == "postgresql":
            cursor.execute(brought.format("ALWAYS"))
        for statement in connection.ops.sequence_reset_sql(no_style(), [CronEvent]):
            cursor.execute(statement)


def restore_job(redis: Any, job: dict[str, Any]) -> None:
    """Put the job of ``job.json`` into its queue."""
    redis.hset(job["key"], mapping={name: _bytes(value) for name, value in job["fields"].items()})
    redis.sadd(job["queues_key"], job["queue_key"])
    redis.rpush(job["queue_key"], job["job_id"])


def _bytes(value: dict[str, str]) -> bytes:
    return base64.b64decode(value["base64"]) if "base64" in value else value["text"].encode()


def differences(old: Any, new: Any, place: str = "answer") -> list[str]:
    """Where a new answer is not what the old one was.

    Keys may have been added since. A ``summary`` is for people: it may be worded anew, but not be
    empty.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [text for key in old for text in _of_key(old, new, key, f"{place}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            text
            for index, pair in enumerate(zip(old, new, strict=True))
            for text in differences(*pair, f"{place}[{index}]")
        ]
    return [] if old == new else [f"{place} was {old!r} and is {new!r}"]


def _of_key(old: dict[str, Any], new: dict[str, Any], key: str, place: str) -> list[str]:
    if key not in new:
        return [f"{place} is missing"]
    if key == "summary":
        return [] if str(new[key]).strip() else [f"{place} is empty"]
    return differences(old[key], new[key], place)
