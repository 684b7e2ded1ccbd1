"""Run statuses as they come out of the database: plain strings, compared once or twice per event."""

from __future__ import annotations

from rqcron_events.core.events import EventType
from rqcron_events.core.run_state import STATUS_OF_OUTCOME, RunStatus

__all__ = ["ENDED", "ENQUEUED", "OUTCOME_STATUS", "REQUESTED", "RETRYING", "RUNNING", "SUCCEEDED"]

REQUESTED = RunStatus.REQUESTED.value
ENQUEUED = RunStatus.ENQUEUED.value
RUNNING = RunStatus.RUNNING.value
RETRYING = RunStatus.RETRYING.value
SUCCEEDED = RunStatus.SUCCEEDED.value
OUTCOME_STATUS: dict[EventType, str] = {
    event_type: status.value for event_type, status in STATUS_OF_OUTCOME.items()
}
ENDED = frozenset(OUTCOME_STATUS.values())
