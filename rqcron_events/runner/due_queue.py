"""When to look at which cron: due times, where the newest word on a cron counts."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterator
from datetime import datetime

__all__ = ["Agenda"]


class Agenda:
    """One due time per name."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, str]] = []
        self._ready: list[tuple[datetime, str]] = []
        """Those that were due at the last look and are not handed out yet, in order."""
        self._due_at: dict[str, datetime] = {}

    def set(self, name: str, when: datetime | None) -> None:
        """Look at this cron then, and only then; None: never."""
        if when is None:
            self._due_at.pop(name, None)
        elif self._due_at.get(name) != when:
            self._due_at[name] = when
            heapq.heappush(self._heap, (when, name))

    def is_due(self, now: datetime) -> bool:
        """Whether there is a cron to look at."""
        while self._heap and self._heap[0][0] <= now:
            insort(self._ready, heapq.heappop(self._heap))
        while self._ready and not self._is_valid(self._ready[-1]):
            self._ready.pop()
        return bool(self._ready)

    def take(self, now: datetime) -> Iterator[str]:
        """Remove and hand out the names that are due, those that came due last first: what is long
        overdue must not make others late. Names that are set meanwhile are left to the next call.
        """
        if self.is_due(now):
            while (name := self._pop(-1)) is not None:
                yield name

    def take_oldest(self) -> str | None:
        """Remove and return the one that was due first, of those that ``take`` left: none waits for
        ever while others come due."""
        return self._pop(0)

    def seconds_until_next(self, now: datetime, at_most: float) -> float:
        """How long nothing is due, within a bound."""
        if self.is_due(now):
            return 0
        if not self._heap:
            return at_most
        return min(at_most, (self._heap[0][0] - now).total_seconds())

    def _pop(self, index: int) -> str | None:
        while self._ready:
            item = self._ready.pop(index)
            if self._is_valid(item):
                del self._due_at[item[1]]
                return item[1]
        return None

    def _is_valid(self, item: tuple[datetime, str]) -> bool:
        """Otherwise it was moved meanwhile."""
        return self._due_at.get(item[1]) == item[0]
