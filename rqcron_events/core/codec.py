"""Between events and what the table stores: JSON and schema versions.

Stored bytes are never rewritten. When the shape of an event's ``data`` changes, raise its number
in ``SCHEMA_VERSIONS`` and add an upcaster from the old shape to the next; reading applies them
one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .events import EventType

__all__ = [
    "SCHEMA_VERSIONS",
    "UPCASTERS",
    "Upcaster",
    "decode_data",
    "encode_data",
    "schema_version",
]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

SCHEMA_VERSIONS: dict[EventType, int] = {}
"""Current version of each event's data; 1 where a type is not listed."""

UPCASTERS: dict[tuple[EventType, int], Upcaster] = {}
"""From (type, version) to the data of the next version."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def schema_version(event_type: EventType) -> int:
    return SCHEMA_VERSIONS.get(event_type, 1)


def encode_data(data: Mapping[str, Any]) -> str:
    """Compact JSON; raises TypeError for values that JSON does not have."""
    if not data:
        return "{}"
    return _ENCODER.encode(data)


def decode_data(event_type: EventType, version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Data as the current code expects it.

    Raises ValueError when the event was written by a newer release than this one, because
    guessing at its meaning could decide wrongly.
    """
    current = schema_version(event_type)
    if version > current:
        raise ValueError(
            f"Event type {event_type!r} has schema version {version}, but this release knows only "
            f"{current}. Upgrade rqcron-events to the release that wrote it."
        )
    for step in range(version, current):
        data = UPCASTERS[event_type, step](data)
    return data
