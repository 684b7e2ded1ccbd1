"""The texts that stand apart from the events of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import models
from django.db.models.functions import Now

from ..core.events import Event
from ..core.events.keys import TEXTS
from ..core.words.apart import Stored, with_texts

__all__ = ["CronText", "put_back", "texts_of"]

IDS_PER_QUERY = 500


class CronText(models.Model):
    """A text of an event, which may name a person; it can be removed, and no fact changes by it."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.BigIntegerField()
    field = models.CharField(max_length=40)
    """``error.message``, ``error.traceback``, ``result`` or ``reason``."""
    salt = models.CharField(max_length=64)
    """Hexadecimal; the event has the SHA-256 of its bytes and those of the text."""
    text = models.TextField()
    stored_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "rqcron_text"
        constraints = (
            models.UniqueConstraint(fields=["event_id", "field"], name="rqcron_text_event_field"),
        )

    def __str__(self) -> str:
        return f"{self.field} of event {self.event_id}"


def put_back(alias: str, events: Iterable[Event]) -> list[Event]:
    """The same events with their texts, as far as they are still there: one query for each 500 that have
    some, and none where none has."""
    given = list(events)
    ids = [event.id for event in given if TEXTS in event.data and event.id is not None]
    if not ids:
        return given
    found = texts_of(alias, ids)
    return [
        with_texts(event, found.get(event.id or 0, {})) if TEXTS in event.data else event
        for event in given
    ]


def texts_of(alias: str, ids: Sequence[int]) -> dict[int, Mapping[str, Stored]]:
    """Stored texts by the ids of their events, then by field."""
    found: dict[int, dict[str, Stored]] = {}
    rows = CronText.objects.using(alias)
    for start in range(0, len(ids), IDS_PER_QUERY):
        page = rows.filter(event_id__in=ids[start : start + IDS_PER_QUERY])
        for event_id, field, salt, text in page.values_list("event_id", "field", "salt", "text"):
            found.setdefault(event_id, {})[field] = Stored(salt, text)
    return dict(found)
