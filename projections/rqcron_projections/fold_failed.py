"""A fold that fails at one event, which can then be left out."""

from __future__ import annotations

from rqcron_events.core.codec import Unreadable
from rqcron_events.core.events import Event

__all__ = ["FoldFailed", "reader_of"]


class FoldFailed(Exception):
    """``apply`` of a projection raised; the cause is what it raised."""

    def __init__(self, projection: str, event: Event, error: Exception) -> None:
        super().__init__(f"projection {projection!r} cannot fold event {event.id}: {error}")
        self.projection = projection
        self.event_id = event.id or 0
        self.unreadable = Unreadable.event(event, error)


def reader_of(projection: str) -> str:
    """The name of the reader in the quarantine."""
    return f"projection:{projection}"
