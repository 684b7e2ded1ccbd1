"""Between events and what the table stores: JSON and schema versions.

Stored bytes are never rewritten. When the shape of an event's ``data`` changes, raise its number
in ``SCHEMA_VERSIONS`` and add an upcaster from the old shape to the next; reading applies them
one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from .events import Event, EventType

__all__ = [
    "SCHEMA_VERSIONS",
    "UPCASTERS",
    "CronRow",
    "NewerEvent",
    "Row",
    "Upcaster",
    "decode_data",
    "decode_rows",
    "encode_data",
    "schema_version",
]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

SCHEMA_VERSIONS: dict[EventType, int] = {}
"""Current version of each event's data; 1 where a type is not listed."""

UPCASTERS: dict[tuple[EventType, int], Upcaster] = {}
"""From (type, version) to the data of the next version."""

Row = tuple[
    int, str, int, str, int, str, bytes | None, int | None, datetime | None, str, str, datetime,
    datetime, str,
]  # fmt: skip
"""A stored event, in the order of the table's columns: the run's id as bytes, the data as JSON."""

CronRow = tuple[int, str, int, datetime | None, Any, str | None]
"""Of a cron's own stream: version, type, schema version, slot, the definition's version as it is
in the data, and the data as JSON where that is not enough to know the decision."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_encode = _ENCODER.encode
"""Bound here: a function of the user's may replace what the class has, in a worker."""


class NewerEvent(ValueError):
    """A newer release wrote the event; guessing at its meaning could decide wrongly."""


def event_type(name: str) -> EventType:
    """The type of that wire name. Raises NewerEvent for one that this release does not know."""
    try:
        return _TYPES[name]
    except KeyError:
        raise NewerEvent(
            f"Event type {name!r} is unknown to this release. Upgrade rqcron-events to the release "
            "that wrote it."
        ) from None


def schema_version(event_type: EventType) -> int:
    return SCHEMA_VERSIONS.get(event_type, 1)


def encode_data(data: Mapping[str, Any]) -> str:
    """Compact JSON; raises TypeError for values that JSON does not have."""
    if not data:
        return "{}"
    return _encode(data)


def decode_data(event_type: EventType, version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Data as the current code expects it.

    Raises NewerEvent when the event was written by a newer release than this one.
    """
    current = schema_version(event_type)
    if version > current:
        raise NewerEvent(
            f"Event type {event_type!r} has schema version {version}, but this release knows only "
            f"{current}. Upgrade rqcron-events to the release that wrote it."
        )
    for step in range(version, current):
        data = UPCASTERS[event_type, step](data)
    return data


def decode_rows(rows: Sequence[Row]) -> list[Event]:
    """Stored rows as events. What a replay does millions of times, so it is laid out for speed:
    one call parses the data of all rows, and no event is built by its frozen ``__init__``.
    """
    documents: Iterable[dict[str, Any]] = json.loads(f"[{','.join([row[13] for row in rows])}]")
    current, types = SCHEMA_VERSIONS, _TYPES
    runs: dict[bytes | None, UUID] = {}  # a run has several events in a row
    events: list[Event] = []
    for row, document in zip(rows, documents, strict=True):
        (id_, stream, version, name, schema, cron, run, attempt, scheduled_for, reason, actor,
         occurred_at, recorded_at, _) = row  # fmt: skip
        kind = types.get(name) or event_type(name)  # which raises
        if schema == 1 and kind not in current:
            data = document
        else:
            data = decode_data(kind, schema, document)
        run_id = runs.get(run)
        if run_id is None and run is not None:
            run_id = runs[run] = UUID(bytes=run)
        draft = _Draft(
            stream, version, kind, occurred_at, cron, run_id, attempt, scheduled_for,
            reason, actor, data, id_, recorded_at,
        )  # fmt: skip
        draft.__class__ = Event  # type: ignore[assignment]
        events.append(draft)  # type: ignore[arg-type]
    return events


class _Draft:
    """An event that is not frozen yet. The ``__init__`` of a frozen dataclass takes ten times as
    long, because each field goes through ``object.__setattr__``; Python lets an object change to
    a class that has the same slots.
    """

    __slots__ = Event.__slots__

    def __init__(
        self, stream: Any, version: Any, type_: Any, occurred_at: Any, cron: Any, run_id: Any,
        attempt: Any, scheduled_for: Any, reason: Any, actor: Any, data: Any, id_: Any,
        recorded_at: Any,
    ) -> None:  # fmt: skip
        self.stream = stream
        self.version = version
        self.type = type_
        self.occurred_at = occurred_at
        self.cron = cron
        self.run_id = run_id
        self.attempt = attempt
        self.scheduled_for = scheduled_for
        self.reason = reason
        self.actor = actor
        self.data = data
        self.id = id_
        self.recorded_at = recorded_at


_TYPES: dict[str, EventType] = {item.value: item for item in EventType}
