"""A run for RQ, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Self
from uuid import UUID

from ..core.cron_state import CronState, OpenRun, refusal_cause
from ..core.definition import Definition
from ..core.events import Event, Reason, make
from ..core.events.make import InRun

__all__ = ["JOB_ID_PREFIX", "Enqueued", "RunRequest", "job_id"]

JOB_ID_PREFIX = "cron-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run whose decision is committed and that RQ shall execute."""

    run_id: UUID
    definition: Definition
    slot: datetime | None
    trigger: str = "slot"
    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    """Arguments of this run; None: those of the worker's code."""
    decided_at: datetime | None = None
    """When it was decided, by this process's clock; None when that may be long ago."""

    @classmethod
    def of(cls, run: OpenRun, definition: Definition) -> Self:
        """An open run, to be handed over again."""
        return cls(
            run_id=run.run_id,
            definition=definition,
            slot=run.slot,
            trigger=run.trigger,
            args=run.args,
            kwargs=run.kwargs,
        )

    @classmethod
    def decided(cls, event: Event, state: CronState, at: datetime) -> Self:
        """A run that was decided ``at`` this time and has none of its own arguments."""
        assert event.run_id is not None
        assert state.last_definition is not None
        return cls(
            run_id=event.run_id,
            definition=state.last_definition,
            slot=event.scheduled_for,
            decided_at=at,
        )

    @property
    def cron(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What became of a request: it is in Redis, its Redis is away, or it alone is refused."""

    request: RunRequest
    at: datetime
    error: str = ""
    """Empty when the job is in Redis."""
    error_type: str = ""
    is_outage: bool = False
    """The error concerns all of that Redis, and says nothing about this run."""
    redis: str = ""
    """Which one, when it was asked; equal for equal servers and databases."""

    @property
    def is_refused(self) -> bool:
        """The error concerns this run, whatever becomes of the others."""
        return bool(self.error) and not self.is_outage

    @property
    def cause(self) -> str:
        """What is recorded once per run: the kind of error and where, without words that may be
        others each time."""
        return refusal_cause(self.request.definition.queue, self.error_type)

    def event(self, actor: str, *, found: str = "") -> Event:
        """The fact for the log. Its version is a guess: most runs have no event before it."""
        request = self.request
        queue = request.definition.queue
        place = InRun(
            cron=request.cron,
            run_id=request.run_id,
            version=1,
            slot=request.slot,
            actor=actor,
            at=self.at,
        )
        if self.error:
            return make.enqueue_failed(
                queue=queue,
                error_type=self.error_type,
                error_message=self.error,
                reason=Reason.REFUSED if self.is_refused else "",
                **place,
            )
        return make.run_enqueued(queue=queue, job_id=job_id(request.run_id), found=found, **place)


@lru_cache(maxsize=2_000)  # several times for each job
def job_id(run_id: UUID) -> str:
    """RQ takes letters, digits, ``_`` and ``-`` only."""
    return f"{JOB_ID_PREFIX}{run_id}"
