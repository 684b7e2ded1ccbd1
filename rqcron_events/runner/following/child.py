"""The runner's side: a process that follows for as long as this runner leads."""

from __future__ import annotations

import logging
import os

from ...process.kept_child import KeptChild

__all__ = ["FollowerChild"]

SILENT_SECONDS_MAX = 60.0
"""A process that says nothing for so long hangs, or is frozen."""
STOP_SECONDS_MAX = 5.0


class FollowerChild:
    """One process for each time that the runner leads. Whatever it does, the runner does not wait for it."""

    def __init__(self) -> None:
        self._child: KeptChild | None = None

    def start(self) -> None:
        """It is started with the lead."""

    def go_on(self, *, leading: bool, behind: bool) -> None:
        if leading and self._child is None:
            level = logging.getLogger("rqcron_events").level
            self._child = KeptChild(
                ["-m", "rqcron_events.runner.following.process", str(level), str(os.getpid())],
                name="followers' process",
                about={"action": "followers_restarted"},
                stop_seconds_max=STOP_SECONDS_MAX,
                silent_seconds_max=SILENT_SECONDS_MAX,
            )
            self._child.start()
        elif not leading and self._child is not None:
            self._child.request_stop()
            self._child = None

    def request_stop(self) -> None:
        if self._child is not None:
            self._child.request_stop()

    def join(self) -> None:
        if self._child is not None:
            self._child.stop()
