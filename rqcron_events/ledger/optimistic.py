"""Appending what rests on what is known, where several writers meet on a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..core.events import Event
from ..errors import VersionConflict
from . import store

__all__ = ["append_optimistically"]

Known = TypeVar("Known")


def append_optimistically(
    read: Callable[[], Known],
    build: Callable[[Known], list[Event]],
    *,
    known: Known | None = None,
) -> tuple[Known, list[Event]]:
    """Append what ``build`` makes of what ``read`` finds, and return what was known and appended.

    The events carry the next versions of their streams. When another writer is first, the database
    refuses them, and both steps are done again. ``known`` stands in for the first reading.
    ``build`` returns no events when there is nothing left to say.

    Raises VersionConflict after twenty tries, and what ``store.append`` does.
    """
    for _ in range(store.TRIES_MAX):
        known = read() if known is None else known
        events = build(known)
        try:
            store.append(events)
        except VersionConflict as conflict:
            refused, known = conflict, None
        else:
            return known, events
    raise refused
