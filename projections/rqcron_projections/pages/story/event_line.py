"""An event as a line of a page: in words, and as it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rqcron_events.core.codec import Unreadable
from rqcron_events.core.events import Event
from rqcron_events.core.explain.event_words import event_words
from rqcron_events.core.words.apart import without_run_texts
from rqcron_events.models import put_back

from ..frame.frame import Frame
from ..frame.zones import Zones
from .called import Called, called

__all__ = ["EventLine", "event_lines"]

DATA_CHARACTERS_MAX = 2_000
"""Of what a line shows at once; the event's own page has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """What a template shows of an event."""

    id: int
    occurred_at: datetime | None
    recorded_at: datetime | None
    cron: Called | None
    type: str
    words: str
    run_id: UUID | None
    slot: datetime | None
    attempt: int | None
    reason: str
    actor: str
    stream: str
    version: int
    data: str
    """JSON, indented."""
    is_unreadable: bool = False

    @property
    def type_words(self) -> str:
        return self.type.replace("_", " ")

    @property
    def short_data(self) -> str:
        if len(self.data) <= DATA_CHARACTERS_MAX:
            return self.data
        return self.data[:DATA_CHARACTERS_MAX] + "…"


def event_lines(frame: Frame, lines: Iterable[Event | Unreadable]) -> list[EventLine]:
    """In the same order, with the texts that the viewer may read; one query tells what their crons are called."""
    known = list(lines)
    events = [line for line in known if isinstance(line, Event)]
    if not frame.sees_runs:
        events = [replace(event, data=without_run_texts(event.data)) for event in events]
    texts = {event.id: event for event in put_back(frame.alias, events)}
    known = [texts[line.id] if isinstance(line, Event) else line for line in known]
    names = called(frame.alias, {line.cron for line in known if line.cron})
    return [_line(line, names.get(line.cron), frame.zones) for line in known]


def _line(line: Event | Unreadable, cron: Called | None, zones: Zones) -> EventLine:
    if isinstance(line, Unreadable):
        return _unreadable(line, cron)
    return EventLine(
        id=line.id or 0,
        occurred_at=line.occurred_at,
        recorded_at=line.recorded_at,
        cron=cron,
        type=line.type.value,
        words=event_words(line, zones.of(cron.timezone if cron else "")),
        run_id=line.run_id,
        slot=line.scheduled_for,
        attempt=line.attempt,
        reason=line.reason,
        actor=line.actor,
        stream=line.stream,
        version=line.version,
        data=json.dumps(dict(line.data), indent=2, ensure_ascii=False),
    )


def _unreadable(line: Unreadable, cron: Called | None) -> EventLine:
    return EventLine(
        id=line.id,
        occurred_at=line.occurred_at,
        recorded_at=None,
        cron=cron,
        type=line.type,
        words=f"cannot be read: {line.error}",
        run_id=line.run_id,
        slot=None,
        attempt=None,
        reason="",
        actor="",
        stream=line.stream,
        version=line.version,
        data="",
        is_unreadable=True,
    )
