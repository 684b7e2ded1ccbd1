"""When Python looks for cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from .. import clock

__all__ = ["IdleCollector", "collection_paused"]


_lock = Lock()
_pausing = 0
"""How many batches are under way, in all threads."""
_was_enabled = False
"""Before the first of them."""


@contextmanager
def collection_paused() -> Iterator[None]:
    """For a bounded batch of things that live on: ten thousand events and jobs would be walked
    over and over in search of cycles.

    Measured with benchmarks/dispatch.py; the next collection comes right after.
    """
    global _pausing, _was_enabled
    with _lock:
        if _pausing == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pausing += 1
    try:
        yield
    finally:
        with _lock:
            _pausing -= 1
            if _pausing == 0 and _was_enabled:
                gc.enable()


class IdleCollector:
    """Looks for cycles while nothing is due, in a process whose threads must not wait.

    With 20,000 open runs in memory a full collection takes 0.2 s. Python begins one in whichever thread
    allocates, and all others stand still for it, the one that decides included.
    """

    YOUNG_OBJECTS_MIN = 5_000
    """Fewer new ones are not worth a look."""
    YOUNG_OBJECTS_MAX = 500_000
    """So many are looked at even if something is due."""
    FULL_SECONDS_MIN, FULL_SECONDS_MAX = 60.0, 900.0
    """From one full collection to the next, and when it is not put off any more."""
    MARGIN = 2.0
    """How many times as long as the last collection took the process has to be idle for another one."""

    def __init__(self) -> None:
        self._young_seconds = self._full_seconds = 0.0
        """What each took last."""
        self._full_at = clock.monotonic_seconds()

    def start(self) -> None:
        """From now on only :meth:`collect` does it. What there is by now stays for good."""
        gc.disable()
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Leave it to Python again."""
        gc.unfreeze()
        gc.enable()

    def collect(self, idle_seconds: float) -> float:
        """To be called before the process waits for so long. Returns the seconds that it took."""
        began_at = clock.monotonic_seconds()
        since = began_at - self._full_at
        has_time = idle_seconds >= self.MARGIN * self._full_seconds
        if since >= (self.FULL_SECONDS_MIN if has_time else self.FULL_SECONDS_MAX):
            gc.collect()
            self._full_at = clock.monotonic_seconds()
            self._full_seconds = self._full_at - began_at
            return self._full_seconds
        has_time = idle_seconds >= self.MARGIN * self._young_seconds
        if gc.get_count()[0] >= (self.YOUNG_OBJECTS_MIN if has_time else self.YOUNG_OBJECTS_MAX):
            gc.collect(1)
            self._young_seconds = clock.monotonic_seconds() - began_at
            return self._young_seconds
        return 0.0
