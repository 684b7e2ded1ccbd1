"""The projection ``runners``: when a runner was alive.

A runner that was taken for lost and comes back, as after a freeze, begins a new session. The row
under the runner's own id is the last one; those before it move to ``<id>#1``, ``<id>#2``, ...
"""

from __future__ import annotations

from collections.abc import Sequence

from rqcron_events.core.events import RUNNER_TYPES, Event, EventType
from rqcron_events.core.events.keys import CRONS, HOST, LAST_HEARTBEAT, PID, REGISTRY

from ..models import RunnerSession, SessionEnd
from ..projection import Projection
from ..replay_hints import CleanUnused, ReplayHints

__all__ = ["NAME", "PROJECTION", "VERSION", "apply"]

NAME = "runners"
VERSION = 1

_TYPES = frozenset(RUNNER_TYPES)


def _key(event: Event) -> str | None:
    return event.stream.partition("/")[2] if event.type in _TYPES else None


def apply(row: RunnerSession | None, event: Event) -> Sequence[RunnerSession]:
    """Fold one event into the runner's last session; with a return, also the one before it."""
    if event.type is EventType.RUNNER_STARTED:
        if row is None:
            return (_begun(event, 1),)
        if row.ended_at is None:
            return (row,)  # said twice
        return (_earlier(row), _begun(event, row.number + 1))
    if row is None or row.ended_at is not None:
        return ()
    row.ended_at = event.parsed_time(LAST_HEARTBEAT) or event.occurred_at
    row.ended = SessionEnd.STOPPED
    if event.type is EventType.RUNNER_LOST:
        row.ended = SessionEnd.LOST
        row.noticed_at = event.occurred_at
        row.noticed_by = event.actor
    return (row,)


def _begun(event: Event, number: int) -> RunnerSession:
    runner = event.stream.partition("/")[2]
    return RunnerSession(
        session=runner,
        runner=runner,
        number=number,
        host=str(event.data.get(HOST, "")),
        pid=event.data.get(PID),
        code=str(event.data.get(REGISTRY, "")),
        crons=event.data.get(CRONS),
        started_at=event.occurred_at,
    )


def _earlier(row: RunnerSession) -> RunnerSession:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return RunnerSession(**{**values, "session": f"{row.runner}#{row.number}"})


PROJECTION = Projection(
    name=NAME,
    version=VERSION,
    row_model=RunnerSession,
    key=_key,
    apply=apply,
    replay=ReplayHints(clean=CleanUnused()),
)
