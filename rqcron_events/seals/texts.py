"""Whether the texts that stand apart are what their events say, and who removed those that are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..core.events import EventType
from ..core.events.keys import EVENT_IDS, SEGMENT_LAST_ID, TEXTS, UNTIL_EVENT
from ..core.words.apart import Stored, is_right
from ..ledger import store
from ..models import CronEvent, texts_of
from .difference import Finding, Kind

__all__ = ["text_findings"]

PAGE_EVENTS = 2_000
_REMOVALS = (EventType.TEXT_REDACTED, EventType.TEXTS_EXPIRED, EventType.EVENTS_RESTORED)


def text_findings(after: int, until: int) -> Iterator[Finding]:
    """Of events with ``after < id <= until``: each text that is not what was recorded, and each that is gone
    without an event that says so."""
    alias = store.connection().alias
    rows = CronEvent.objects.using(alias).filter(id__lte=until, data__has_key=TEXTS).order_by("id")
    removed: _Removed | None = None
    while page := list(rows.filter(id__gt=after).values_list("id", "data")[:PAGE_EVENTS]):
        after = page[-1][0]
        found = texts_of(alias, [event_id for event_id, _ in page])
        for event_id, data in page:
            digests = data[TEXTS] if isinstance(data[TEXTS], dict) else {}
            for field, digest in digests.items():
                stored = found.get(event_id, {}).get(field)
                if stored is None:
                    removed = removed or _Removed(alias)
                if stored is not None or removed is None or not removed.says(event_id):
                    yield from _judged(event_id, field, digest, stored)


def _judged(event_id: int, field: str, digest: str, stored: Stored | None) -> Iterator[Finding]:
    if stored is None:
        text = "is gone, and no event says who removed it"
    elif not is_right(stored, digest):
        text = "is not what was recorded"
    else:
        return
    yield Finding(
        kind=Kind.TEXT, text=f"Text {field} of event {event_id} {text}.", event_id=event_id
    )


class _Removed:
    """What the log says of texts that were removed."""

    def __init__(self, alias: str) -> None:
        self._events: set[int] = set()
        self._until = 0
        rows = CronEvent.objects.using(alias).of_type(*_REMOVALS).order_by("id")
        for kind, data in rows.values_list("type", "data"):
            if not isinstance(data, Mapping):
                continue
            if kind == EventType.TEXT_REDACTED:
                self._events.update(data.get(EVENT_IDS, ()))
            else:  # segments have no texts
                until = data.get(UNTIL_EVENT) or data.get(SEGMENT_LAST_ID) or 0
                self._until = max(self._until, int(until))

    def says(self, event_id: int) -> bool:
        return event_id <= self._until or event_id in self._events
