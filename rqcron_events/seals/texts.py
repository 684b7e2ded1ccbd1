"""Whether the texts that stand apart are what their events say, and who removed those that are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..core.codec import Row
from ..core.events import EventType
from ..core.events.keys import EVENT_IDS, SEGMENT_LAST_ID, TEXTS, UNTIL_EVENT
from ..core.words.apart import Stored, is_right
from ..ledger import store
from ..models import CronEvent, texts_of
from .difference import Finding, Kind

__all__ = ["FAULTS_MAX", "ArchivedTexts", "text_findings"]

FAULTS_MAX = 20
"""As many findings of one kind are told."""

PAGE_EVENTS = 2_000
_KEY = f'"{TEXTS}"'
_REMOVALS = (EventType.TEXT_REDACTED, EventType.TEXTS_EXPIRED, EventType.EVENTS_RESTORED)


def text_findings(after: int, until: int) -> Iterator[Finding]:
    """Of events with ``after < id <= until``: each text that is not what was recorded, and each that is gone
    without an event that says so."""
    alias = store.connection().alias
    rows = CronEvent.objects.using(alias).filter(id__lte=until, data__has_key=TEXTS).order_by("id")
    removed = _Removed(alias)
    while page := list(rows.filter(id__gt=after).values_list("id", "data")[:PAGE_EVENTS]):
        after = page[-1][0]
        yield from _of_page(alias, page, removed)


@dataclass(slots=True)
class ArchivedTexts:
    """The same of events that are in segments only: their texts stayed in the database."""

    findings: list[Finding] = field(default_factory=list)
    _page: list[tuple[int, Any]] = field(default_factory=list)
    _removed: _Removed | None = None

    def note(self, row: Row) -> None:
        """An archived event that was found right, and has no row in the log."""
        if _KEY not in row[13] or len(self.findings) >= FAULTS_MAX:
            return
        data = json.loads(row[13])
        if isinstance(data, dict) and TEXTS in data:
            self._page.append((row[0], data))
            if len(self._page) >= PAGE_EVENTS:
                self.end()

    def end(self) -> None:
        """There are no more of them for now."""
        alias = store.connection().alias
        self._removed = self._removed or _Removed(alias)
        self.findings += islice(
            _of_page(alias, self._page, self._removed), FAULTS_MAX - len(self.findings)
        )
        self._page.clear()


def _of_page(alias: str, page: Sequence[tuple[int, Any]], removed: _Removed) -> Iterator[Finding]:
    found = texts_of(alias, [event_id for event_id, _ in page])
    for event_id, data in page:
        digests = data[TEXTS] if isinstance(data[TEXTS], dict) else {}
        for name, digest in digests.items():
            stored = found.get(event_id, {}).get(name)
            if stored is not None or not removed.says(event_id):
                yield from _judged(event_id, name, digest, stored)


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
    """What the log says of texts that were removed; it is asked when the first one is gone."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._events: set[int] = set()
        self._until = 0
        self._is_known = False

    def says(self, event_id: int) -> bool:
        if not self._is_known:
            self._read()
        return event_id <= self._until or event_id in self._events

    def _read(self) -> None:
        self._is_known = True
        rows = CronEvent.objects.using(self._alias).of_type(*_REMOVALS).order_by("id")
        for kind, data in rows.values_list("type", "data"):
            if not isinstance(data, Mapping):
                continue
            if kind == EventType.TEXT_REDACTED:
                self._events.update(data.get(EVENT_IDS, ()))
            else:  # segments have no texts
                until = data.get(UNTIL_EVENT) or data.get(SEGMENT_LAST_ID) or 0
                self._until = max(self._until, int(until))
