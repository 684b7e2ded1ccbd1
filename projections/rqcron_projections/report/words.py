"""What errors said: it stands apart from facts, and may have been removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import Case, OuterRef, Subquery, TextField, Value, When
from django.db.models.functions import Coalesce

from rqcron_events.core.events import EventType
from rqcron_events.core.events.keys import TEXTS
from rqcron_events.core.words.apart import GONE, MESSAGE
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, CronText, texts_of

__all__ = ["MESSAGE_OF_RUN", "messages_of", "messages_of_runs"]

MESSAGE_OF_RUN = Case(
    When(error_event__isnull=True, then=Value("", output_field=TextField())),
    default=Coalesce(
        Subquery(
            CronText.objects.filter(event_id=OuterRef("error_event"), field=MESSAGE).values("text")[
                :1
            ]
        ),
        Value(GONE, output_field=TextField()),
        output_field=TextField(),
    ),
)
"""To annotate rows of ``CronRun`` with: the message of its error, or that it was removed; empty for none."""
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
    rows = CronEvent.objects.filter(run_id__in=run_ids, type__in=_ENDS, data__has_key=TEXTS)
    stored = CronText.objects.filter(event_id=OuterRef("id"), field=MESSAGE).values("text")[:1]
    found = rows.order_by("id").annotate(
        message=Coalesce(Subquery(stored), Value(GONE, output_field=TextField()))
    )
    return {run_id: text for run_id, text in found.values_list("run_id", "message") if run_id}
