"""Appending to the stream of one run, where several writers meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from ..core.codec import Unreadable
from ..core.events import Event, EventType
from ..core.run_state import RunState
from ..errors import UnreadableEvent
from ..models import CronEvent
from . import store
from .lookup import archived_until
from .optimistic import append_optimistically
from .reading import not_accepted, readable_rows

__all__ = ["append_to_run", "is_archived", "read_run", "read_runs", "request_of"]


def read_run(run_id: UUID) -> RunState:
    """The run as it stands in the log; empty (version 0) when nothing is recorded yet.

    Raises UnreadableEvent when an event of it cannot be read: it may be the outcome.
    """
    state = RunState(run_id)
    for event in store.read_stream(state.stream):
        try:
            state.apply(event)
        except Exception as error:
            failed = not_accepted(store.connection(), [Unreadable.event(event, error)])
            if failed:
                raise UnreadableEvent(failed[0]) from error
    return state


def read_runs(run_ids: Sequence[UUID]) -> dict[UUID, RunState]:
    """The same for many runs in one query, without those of which an event cannot be read."""
    states = {run_id: RunState(run_id) for run_id in run_ids}
    streams = [state.stream for state in states.values()]
    rows = CronEvent.objects.using(store.connection().alias).filter(stream__in=streams)
    found = readable_rows(rows.order_by("stream", "version"), store.connection())
    unreadable = {item.stream for item in found.unreadable}
    for event in found.events:
        if event.run_id in states:
            try:
                states[event.run_id].apply(event)
            except Exception:  # an accepted event, too: read_run tells it apart
                unreadable.add(event.stream)
    return {key: state for key, state in states.items() if state.stream not in unreadable}


def request_of(run_id: UUID) -> tuple[str, datetime | None] | None:
    """Cron and slot of the decision or request that the run goes back to; None without one."""
    rows = CronEvent.objects.using(store.connection().alias).for_run(run_id)
    asked = rows.of_type(EventType.SLOT_FIRED, EventType.RUN_REQUESTED)
    return asked.values_list("cron", "scheduled_for").first()


def is_archived(run_id: UUID, known_at: datetime | None) -> bool:
    """Whether an archive took the run, which somebody knew at this time: nobody asked for it by what is left in
    the log, and it is as old as what was archived. No open run is archived, so it has ended."""
    until = archived_until()
    if until is None or known_at is None or known_at > until:
        return False
    return request_of(run_id) is None


def append_to_run(state: RunState, build: Callable[[RunState], list[Event]]) -> list[Event]:
    """Append what ``build`` makes of the run's state, and return it.

    When another writer is first, the run is read again and ``build`` decides again. Raises
    VersionConflict after twenty tries.
    """
    _, events = append_optimistically(lambda: read_run(state.run_id), build, known=state)
    return events
