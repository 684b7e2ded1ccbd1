"""Something to wait for that a signal handler may set."""

from __future__ import annotations

import threading
from contextlib import suppress

__all__ = ["StopFlag"]


class StopFlag:
    """Like ``threading.Event``, whose ``set`` takes a lock. A handler runs in the main thread, at any line of
    it: where that holds this lock, because it begins or ends to wait, the handler waits for ever. Nothing
    here waits for this one's lock but ``wait``. (``queue.SimpleQueue``, which may be used in handlers, too,
    waits for ever in Python 3.11 when a signal comes just as its time is up.)"""

    def __init__(self) -> None:
        self._is_set = False
        self._held_until_set = threading.Lock()
        self._held_until_set.acquire()

    def set(self) -> None:
        self._is_set = True
        self._let_go()

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Until it is set, and for so long at most. Whether it is."""
        if self._held_until_set.acquire(timeout=seconds):
            self._let_go()  # for who else waits
        return self._is_set

    def _let_go(self) -> None:
        with suppress(RuntimeError):  # somebody has already
            self._held_until_set.release()
