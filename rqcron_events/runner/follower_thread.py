"""Calling the followers of the log beside the runner, where they can delay nothing."""

from __future__ import annotations

import logging
import threading

from ..followers import followers
from ..ledger import store
from ..ledger.backend import backend_of

__all__ = ["FollowerThread", "follow_once"]

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
JOIN_SECONDS_MAX = 5.0


class FollowerThread(threading.Thread):
    """A daemon thread with its own database connection; works while ``active`` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__(name="rqcron-followers", daemon=True)
        self.active = False
        self._stopping = stopping

    def run(self) -> None:
        try:
            db = store.connection()
            backend_of(db).leave_pool(db)  # the deciding thread may hold all of a small one
            while not self._stopping.wait(PAUSE_SECONDS):
                if self.active:
                    follow_once()
        finally:
            store.connection().close()

    def join_quietly(self) -> None:
        if self.is_alive():
            self.join(JOIN_SECONDS_MAX)


def follow_once() -> None:
    """Let every follower catch up; one that raises is logged and does not stop the others."""
    for name, follower in list(followers.items()):
        try:
            follower.catch_up()
        except Exception as error:  # a broken projection must not touch the runner
            log.error(
                "Follower %s failed: %s",
                name,
                error,
                extra={"action": "follower_failed", "follower": name},
            )
            store.connection().close()
