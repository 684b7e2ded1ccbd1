"""Calling the followers of the log beside the runner, where they can delay nothing.

They share the interpreter with the deciding thread, so they wait while it has slots to catch up with.
"""

from __future__ import annotations

import logging
import threading

from ..followers import followers
from ..ledger import store
from ..ledger.backend import backend_of

__all__ = ["FollowerThread", "follow_all", "follow_some"]

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
JOIN_SECONDS_MAX = 5.0
STEPS_MAX = 100_000
"""Of ``follow_all``, should writers stay ahead of it for ever."""


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
            pause_seconds = PAUSE_SECONDS
            while not self._stopping.wait(pause_seconds):
                more = self.active and follow_some()
                pause_seconds = 0 if more else PAUSE_SECONDS
        finally:
            store.connection().close()

    def join_quietly(self) -> None:
        if self.is_alive():
            self.join(JOIN_SECONDS_MAX)


def follow_all() -> None:
    """Let every follower catch up with the log of now."""
    for _ in range(STEPS_MAX):
        if not follow_some():
            return


def follow_some() -> bool:
    """Let every follower get on; False when none had anything left to do.

    One that raises is logged and does not stop the others.
    """
    applied = 0
    for name, follower in list(followers.items()):
        try:
            applied += follower.catch_up()
        except Exception as error:  # a broken projection must not touch the runner
            log.error(
                "Follower %s failed: %s",
                name,
                error,
                extra={"action": "follower_failed", "follower": name},
            )
            store.connection().close()
    return applied > 0
