"""What errors said: it stands apart from facts, and may have been removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import Case, OuterRef, Subquery, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Coalesce

from rqcron_events.core.events import EventType
from rqcron_events.core.events.keys import ERROR, ERROR_MESSAGE
from rqcron_events.core.words.apart import GONE, MESSAGE
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, CronText, texts_of

__all__ = ["MESSAGE_OF_RUN", "messages_of", "messages_of_runs"]

_GONE = Value(GONE, output_field=TextField())
_IN_EVENT = KeyTextTransform(ERROR_MESSAGE, KeyTransform(ERROR, "data"))
"""Where an early log has it."""


def _message_of(event: str) -> Coalesce:
    apart = CronText.objects.filter(event_id=OuterRef(event), field=MESSAGE).values("text")
    inside = CronEvent.objects.filter(id=OuterRef(event)).values(message=_IN_EVENT)
    return Coalesce(Subquery(apart[:1]), Subquery(inside[:1]), _GONE, output_field=TextField())


MESSAGE_OF_RUN = Case(
    When(error_event__isnull=True, then=Value("", output_field=TextField())),
    default=_message_of("error_event"),
)
"""To annotate rows of ``CronRun`` with: the message of its error, or that it was removed; empty for none."""
_ENDS = (EventType.RUN_FAILED, EventType.RUN_LOST)


def messages_of(event_ids: Iterable[int | None]) -> dict[int, str]:
    """The error messages of these events; of one whose message was removed, that it was. No query where there
    is none to be asked for."""
    ids = [event_id for event_id in event_ids if event_id is not None]
    if not ids:
        return {}
    alias = store.connection().alias
    apart = texts_of(alias, ids)
    inside = CronEvent.objects.using(alias).filter(id__in=[id_ for id_ in ids if id_ not in apart])
    messages = dict.fromkeys(ids, GONE) | {
        event_id: text for event_id, text in inside.values_list("id", _IN_EVENT) if text is not None
    }
    for event_id, texts in apart.items():
        if MESSAGE in texts:
            messages[event_id] = texts[MESSAGE].text
    return messages


def messages_of_runs(run_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The messages of the errors with which these runs ended, as far as they ended with one."""
    if not run_ids:
        return {}
    rows = CronEvent.objects.filter(run_id__in=run_ids, type__in=_ENDS, data__has_key=ERROR)
    found = rows.order_by("id").annotate(message=_message_of("id"))
    return {run_id: text for run_id, text in found.values_list("run_id", "message") if run_id}
