"""One fact, and the streams that facts belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from .keys import EFFECTIVE_FROM
from .types import EventType

__all__ = ["LEDGER_STREAM", "Event", "cron_stream", "run_stream", "runner_stream"]

LEDGER_STREAM = "ledger"


def cron_stream(name: str) -> str:
    return f"cron/{name}"


def run_stream(run_id: UUID) -> str:
    return f"run/{run_id}"


def runner_stream(runner_id: str) -> str:
    return f"runner/{runner_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact. ``id`` and ``recorded_at`` are None until the ledger has written it."""

    stream: str
    version: int
    """Position in its stream, from 1, without gaps."""
    type: EventType
    occurred_at: datetime
    """The writer's clock, UTC."""
    cron: str = ""
    """Name of the cron, or empty on runner and ledger streams."""
    run_id: UUID | None = None
    attempt: int | None = None
    """From 1."""
    scheduled_for: datetime | None = None
    """The slot, UTC."""
    reason: str = ""
    actor: str = ""
    """Who: a person, or ``runner/<id>``, ``worker/<name>``."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Everything else, JSON-ready, already upcast to the current schema version."""
    id: int | None = None
    recorded_at: datetime | None = None

    def parsed_time(self, key: str) -> datetime | None:
        """An ISO 8601 time out of ``data``, or None when it is absent. Raises ValueError for one
        without a zone, which could not be compared with any other."""
        value = self.data.get(key)
        if not value:
            return None
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError(f"{key} {value!r} has no time zone")
        return found

    @property
    def effective_from(self) -> datetime:
        """From when on what it says holds: a definition, a pause or its end."""
        return self.parsed_time(EFFECTIVE_FROM) or self.occurred_at
