"""Between events and what the table stores: JSON and schema versions.

Stored bytes are never rewritten. When the shape of an event's ``data`` changes, raise its number
in ``SCHEMA_VERSIONS`` and add an upcaster from the old shape to the next; reading applies them
one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from .events import Event, EventType

__all__ = [
    "SCHEMA_VERSIONS",
    "UPCASTERS",
    "CronRow",
    "NewerEvent",
    "Row",
    "Unreadable",
    "Upcaster",
    "check_shape",
    "decode_data",
    "decode_readable",
    "decode_rows",
    "encode_data",
    "json_text",
    "schema_version",
]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

SCHEMA_VERSIONS: dict[EventType, int] = {}
"""Current version of each event's data; 1 where a type is not listed."""

UPCASTERS: dict[tuple[EventType, int], Upcaster] = {}
"""From (type, version) to the data of the next version."""

Row = tuple[
    int, str, int, str, int, str, bytes | None, int | None, datetime | None, str, str,
    datetime | None, datetime | None, str,
]  # fmt: skip
"""A stored event, in the order of the table's columns: the run's id as bytes, the data as JSON.
``occurred_at`` is None where one of its times, or its run's id, cannot be had from the database."""

CronRow = tuple[int, str, int, datetime | None, Any, str | None]
"""Of a cron's own stream: version, type, schema version, slot, the definition's version as it is
in the data, and the data as JSON where that is not enough to know the decision."""

ERROR_CHARS_MAX = 300
"""Of what is said about an event that cannot be read: it may quote megabytes."""


def _encoder(comma: str, colon: str) -> Callable[[Any], str]:
    """``json.dumps`` that refuses NaN, without making a C encoder for each call: that takes longer than to
    encode."""
    encoder = json.JSONEncoder(separators=(comma, colon), ensure_ascii=False, allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # another Python
        return encoder.encode
    text = json.encoder.encode_basestring
    parts = make(None, encoder.default, text, None, colon, comma, False, False, False)
    return lambda value: "".join(parts(value, 0))


# Bound here: a function of the user's may replace what the class has, in a worker.
_encode = _encoder(",", ":")
json_text = _encoder(", ", ": ")
"""JSON as a database gives it back, so that what has not changed is the same text."""


class NewerEvent(ValueError):
    """A newer release wrote the event; guessing at its meaning could decide wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An event that nothing can be made of: what its columns say, and why."""

    id: int
    stream: str
    version: int
    type: str
    cron: str
    run_id: UUID | None
    error: str
    occurred_at: datetime | None = None
    """None where it cannot be had from the database."""
    newer: bool = False
    """It would be of a newer release, if one had written to this log."""

    @classmethod
    def event(cls, event: Event, error: Exception) -> Self:
        """One that was decoded and could not be folded."""
        return cls(
            id=event.id or 0,
            stream=event.stream,
            version=event.version,
            type=str(event.type),
            cron=event.cron,
            run_id=event.run_id,
            error=_error_text(error),
            occurred_at=event.occurred_at,
        )

    @classmethod
    def row(cls, row: Row, error: Exception) -> Self:
        """One that could not be decoded."""
        run = row[6]
        return cls(
            id=row[0],
            stream=str(row[1]),
            version=row[2],
            type=str(row[3]),
            cron=str(row[5]),
            run_id=UUID(bytes=run) if run is not None and len(run) == 16 else None,
            error=_error_text(error),
            occurred_at=row[11],
            newer=isinstance(error, NewerEvent),
        )

    def __str__(self) -> str:
        return (
            f"event {self.id} ({self.type}, version {self.version} of {self.stream}): {self.error}"
        )


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
        if document.__class__ is not dict or occurred_at is None:
            check_shape(document, occurred_at)
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


def decode_readable(rows: Sequence[Row]) -> tuple[list[Event], list[Unreadable]]:
    """The same, row by row where something is wrong: one bad row must not hide the others."""
    try:
        return decode_rows(rows), []
    except Exception:  # JSON that is nested too deeply is a RecursionError
        events: list[Event] = []
        unreadable: list[Unreadable] = []
    for row in rows:
        try:
            events += decode_rows([row])
        except Exception as error:
            unreadable.append(Unreadable.row(row, error))
    return events, unreadable


def check_shape(data: object, occurred_at: object) -> None:
    """Raises ValueError when an event lacks what all of them have."""
    if not isinstance(data, dict):
        raise ValueError(f"its data is not an object but {type(data).__name__}")
    if occurred_at is None:
        raise ValueError("one of its times or its run's id is out of range")


def _error_text(error: Exception) -> str:
    text = str(error) if isinstance(error, NewerEvent) else f"{type(error).__name__}: {error}"
    text = " ".join(text[: 4 * ERROR_CHARS_MAX].split())
    return text if len(text) <= ERROR_CHARS_MAX else text[: ERROR_CHARS_MAX - 1] + "…"


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
