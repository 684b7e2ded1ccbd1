"""The answer to why a cron did or did not fire, and its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..definition import Definition
from ..downtime import Downtime
from ..events import Event
from .mismatch import Mismatch
from .obstacles import Obstacle
from .run import Request, RunSummary, Step

__all__ = ["Explanation", "Verdict"]


class Verdict(StrEnum):
    FIRED = "fired"
    SKIPPED = "skipped"
    MISSED = "missed"
    PENDING = "pending"
    NOT_A_SLOT = "not_a_slot"
    NOT_REGISTERED = "not_registered"
    UNKNOWN_CRON = "unknown_cron"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer. ``to_data`` is the JSON of ``cron_explain --format json``."""

    cron: str
    at: datetime
    verdict: Verdict
    reason: str = ""
    summary: str
    """One sentence for a person, or a few."""
    slot: datetime | None = None
    lateness_seconds: float | None = None
    run: RunSummary | None = None
    definition: Definition | None = None
    """The one in force at that instant."""
    definition_version: int | None = None
    effective_from: datetime | None = None
    previous_slot: datetime | None = None
    next_slot: datetime | None = None
    downtime: Downtime | None = None
    """The stretch around the slot in which nobody could decide, when that is why it is late."""
    steps: Sequence[Step] = field(default_factory=tuple)
    """What happened to the slot and its run, one after the other."""
    requests: Sequence[Request] = field(default_factory=tuple)
    """Further runs of this slot that people asked for: reruns and backfills."""
    mismatch: Sequence[Mismatch] = field(default_factory=tuple)
    """Of an instant that is no slot: the fields of the schedule that it does not match."""
    obstacles: Sequence[Obstacle] = field(default_factory=tuple)
    """What keeps the slot or its run from going on now; nothing once it has ended."""
    clock_change: str = ""
    """What a change of the clocks did to this slot, in words."""
    events: Sequence[Event] = field(default_factory=tuple)
    """The recorded evidence, in the order of the log."""

    def to_data(self) -> dict[str, Any]:
        return {
            "cron": self.cron,
            "at": _iso(self.at),
            "verdict": self.verdict.value,
            "reason": self.reason,
            "summary": self.summary,
            "slot": _iso(self.slot),
            "lateness_seconds": self.lateness_seconds,
            "run": self.run.to_data() if self.run else None,
            "definition": self._definition_data(),
            "previous_slot": _iso(self.previous_slot),
            "next_slot": _iso(self.next_slot),
            "downtime": self.downtime.to_data() if self.downtime else None,
            "obstacles": [obstacle.to_data() for obstacle in self.obstacles],
            "clock_change": self.clock_change,
            "mismatch": [found._asdict() for found in self.mismatch],
            "steps": [step.to_data() for step in self.steps],
            "requests": [request.to_data() for request in self.requests],
            "events": [_event_data(event) for event in self.events],
        }

    def _definition_data(self) -> dict[str, Any] | None:
        if self.definition is None:
            return None
        return {
            **self.definition.to_data(),
            "schedule": self.definition.schedule_text,
            "timezone": self.definition.timezone,
            "queue": self.definition.queue,
            "version": self.definition_version,
            "effective_from": _iso(self.effective_from),
        }


def _event_data(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type.value,
        "occurred_at": _iso(event.occurred_at),
        "actor": event.actor,
        "reason": event.reason,
        "data": dict(event.data),
    }


def _iso(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None
