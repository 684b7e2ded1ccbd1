"""Small things that our processes need: logging to the terminal, and not outliving a parent."""

from __future__ import annotations

import logging
import os
import threading
import time

__all__ = ["die_with_parent", "log_to_stderr"]

PARENT_POLL_SECONDS = 0.5


def log_to_stderr(level: int) -> None:
    """Show this package's log lines, unless the project has configured where they go."""
    logger = logging.getLogger("rqcron_events")
    logger.setLevel(level)
    if logger.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)


def die_with_parent(parent_pid: int) -> None:
    """Exit at once, without clean-up, when that process is no longer the parent.

    Polling works on every system and from any thread of the parent; a pipe would be held open by
    the work-horses that the parent forks.
    """

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(PARENT_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="rqcron-parent", daemon=True).start()
