"""Small things that our processes need: logging to the terminal, and not outliving a parent."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from ..core.wording import shown

__all__ = ["die_with_parent", "log_to_stderr"]

PARENT_POLL_SECONDS = 0.5


def log_to_stderr(level: int) -> None:
    """Show this package's log lines, unless the project has configured where they go."""
    logger = logging.getLogger("rqcron_events")
    logger.setLevel(level)
    if logger.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)


class OneLine(logging.Formatter):
    """A record is one line, and a traceback below it is indented: text of others that is in them
    cannot look like a record of its own. Projects that log elsewhere get the values as they are."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  | {shown(line)}" for line in super().formatException(ei).split("\n"))


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
