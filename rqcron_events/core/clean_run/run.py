"""A run without incident in one piece: most of a log is about such runs."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from ..codec import schema_version
from ..events import Event, EventType, cron_stream, run_stream
from ..events.keys import DURATION_SECONDS, LATENESS_SECONDS, QUEUE

__all__ = ["CLEAN_TYPES", "CleanRun", "can_be_clean"]

CLEAN_TYPES: Final = (
    EventType.SLOT_FIRED,
    EventType.RUN_ENQUEUED,
    EventType.RUN_STARTED,
    EventType.RUN_SUCCEEDED,
)
"""The events of such a run; a worker may be faster than the runner's note that it enqueued it."""


class CleanRun(NamedTuple):
    """A run of one slot that was fired, enqueued, started and succeeded at the first attempt.

    It stands for four events, as far as they are known when the log is read: others may follow,
    such as a start that was refused. What a database finds them by is in ``clean_runs``.
    """

    run_id: UUID
    cron: str
    first_id: int
    """Id of the decision."""
    last_id: int
    """Id of the outcome; the other two events lie in between."""
    slot: datetime
    decided_at: datetime
    runner: str
    """Actor of the decision."""
    lateness_seconds: float | None
    queue: str
    enqueued_at: datetime
    started_at: datetime
    worker: str
    finished_at: datetime
    duration_seconds: float | None

    def decided(self) -> Event:
        """The first event, as much as is known of it."""
        return Event(
            stream=cron_stream(self.cron),
            version=0,
            type=EventType.SLOT_FIRED,
            occurred_at=self.decided_at,
            cron=self.cron,
            run_id=self.run_id,
            scheduled_for=self.slot,
            actor=self.runner,
            data={LATENESS_SECONDS: self.lateness_seconds},
            id=self.first_id,
        )

    def rest(self) -> tuple[Event, Event, Event]:
        """The three others, of the first two of which only the order is unknown, and the ids."""
        return (
            self._event(EventType.RUN_ENQUEUED, self.enqueued_at, {QUEUE: self.queue}),
            self._event(EventType.RUN_STARTED, self.started_at, {}, 1, self.worker),
            self._event(
                EventType.RUN_SUCCEEDED,
                self.finished_at,
                {DURATION_SECONDS: self.duration_seconds},
                1,
                self.worker,
                self.last_id,
            ),
        )

    def _event(
        self,
        kind: EventType,
        at: datetime,
        data: dict[str, object],
        attempt: int | None = None,
        actor: str = "",
        event_id: int | None = None,
    ) -> Event:
        return Event(
            stream=run_stream(self.run_id),
            version=0,
            type=kind,
            occurred_at=at,
            cron=self.cron,
            run_id=self.run_id,
            attempt=attempt,
            actor=actor,
            data=data,
            id=event_id,
        )


def can_be_clean() -> bool:
    """Whether stored events of these types are what the current code expects, without upcasting."""
    return all(schema_version(kind) == 1 for kind in CLEAN_TYPES)
