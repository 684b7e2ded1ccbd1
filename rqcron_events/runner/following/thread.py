"""Following in the runner's own process.

The thread shares the interpreter with the deciding one, so it waits while that has slots to catch up with.
"""

from __future__ import annotations

import threading

from ...ledger import store
from ...ledger.backend import backend_of
from .steps import follow_some, seconds_until_look

__all__ = ["FollowerThread"]

JOIN_SECONDS_MAX = 5.0


class FollowerThread(threading.Thread):
    """A daemon thread with its own database connection."""

    def __init__(self) -> None:
        super().__init__(name="rqcron-followers", daemon=True)
        self.active = False
        self._is_to_stop = threading.Event()

    def run(self) -> None:
        try:
            db = store.connection()
            backend_of(db).leave_pool(db)  # the deciding thread may hold all of a small one
            pause_seconds = seconds_until_look()
            while not self._is_to_stop.wait(pause_seconds):
                more = self.active and follow_some()
                pause_seconds = 0 if more else seconds_until_look()
        finally:
            store.connection().close()

    def go_on(self, *, leading: bool, behind: bool) -> None:
        self.active = leading and not behind

    def request_stop(self) -> None:
        self._is_to_stop.set()

    def join(self, timeout: float | None = JOIN_SECONDS_MAX) -> None:
        if self.is_alive():
            super().join(timeout)
