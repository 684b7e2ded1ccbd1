"""When to look at which cron: a heap of due times, where the newest word on a cron counts."""

from __future__ import annotations

import heapq
from datetime import datetime

__all__ = ["Agenda"]


class Agenda:
    """One due time per name."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, str]] = []
        self._due_at: dict[str, datetime] = {}

    def set(self, name: str, when: datetime | None) -> None:
        """Look at this cron then, and only then; None: never."""
        if when is None:
            self._due_at.pop(name, None)
        elif self._due_at.get(name) != when:
            self._due_at[name] = when
            heapq.heappush(self._heap, (when, name))

    def take(self, now: datetime) -> list[str]:
        """Remove and return the names that are due, the earliest first."""
        names: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            when, name = heapq.heappop(self._heap)
            if self._due_at.get(name) == when:  # otherwise it was moved meanwhile
                del self._due_at[name]
                names.append(name)
        return names

    def seconds_until_next(self, now: datetime, at_most: float) -> float:
        """How long nothing is due, within a bound."""
        if not self._heap:
            return at_most
        return max(min(at_most, (self._heap[0][0] - now).total_seconds()), 0)
