"""The thread that decides goes first."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .. import clock

__all__ = ["RightOfWay"]


class RightOfWay:
    """Threads beside the one that decides leave it the interpreter when a slot comes due.

    Python runs one thread at a time. Who has much to do that can wait asks before each piece of it; where the
    deciding thread does not come back, each goes on after a bound.
    """

    PIECE_SECONDS_MAX = 0.5
    """A piece that takes longer begins all the same when nothing is due for so long."""
    DECIDING_SECONDS = 0.1
    """How long a decision is waited for, from when it was due."""

    def __init__(self) -> None:
        self._due_at = float("inf")
        """Monotonic seconds of the next slot, as the deciding thread knows it."""
        self._changed = threading.Condition()
        self._opened = 0
        """How often who waits was let go."""

    def due_in(self, seconds: float) -> None:
        """Said by the deciding thread when it is through: nothing is due for so long."""
        self._due_at = clock.monotonic_seconds() + seconds
        self.open()

    def open(self) -> None:
        """Who waits goes on: there is something to do that is on time."""
        with self._changed:
            self._opened += 1
            self._changed.notify_all()

    def give(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> None:
        """To be called before a piece that takes so long, in seconds: waits until what comes due meanwhile
        is decided. Not where ``unless`` says that there is something on time."""
        with self._changed:
            if unless():
                return
            left = self._due_at - clock.monotonic_seconds()
            if -self.DECIDING_SECONDS < left < min(seconds, self.PIECE_SECONDS_MAX):
                opened = self._opened
                self._changed.wait_for(lambda: self._opened != opened, left + self.DECIDING_SECONDS)
