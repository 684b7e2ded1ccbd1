"""What errors said: it stands apart from facts, and may have been removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from rqcron_events.core.events import EventType
from rqcron_events.core.words.apart import GONE, MESSAGE
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, texts_of

__all__ = ["messages_of", "messages_of_runs"]

_ENDS = (EventType.RUN_FAILED, EventType.RUN_LOST)


def messages_of(event_ids: Iterable[int | None]) -> dict[int, str]:
    """The error messages of these events; of one whose message was removed, that it was. No query where there
    is none to be asked for."""
    ids = [event_id for event_id in event_ids if event_id is not None]
    found = texts_of(store.connection().alias, ids)
    messages = {}
    for event_id in ids:
        stored = found.get(event_id, {}).get(MESSAGE)
        messages[event_id] = stored.text if stored is not None else GONE
    return messages


def messages_of_runs(run_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The messages of the errors with which these runs ended, as far as they ended with one."""
    if not run_ids:
        return {}
    rows = CronEvent.objects.filter(run_id__in=run_ids, type__in=_ENDS)
    events = dict(rows.order_by("id").values_list("run_id", "id"))
    messages = messages_of(events.values())
    return {run_id: messages[event_id] for run_id, event_id in events.items() if run_id}
