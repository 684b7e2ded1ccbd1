"""What the process does: ``python -m rqcron_events.runner.following.process LEVEL PARENT SAYS``.

``LEVEL`` is that of logging, ``PARENT`` the process that it ends with, and ``SAYS`` the file descriptor of a
pipe in which it says that it is alive.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType

import django

from ...process.kept_child import ALIVE, BUSY
from ...process.parent_watch import die_with_parent, log_to_stderr

__all__ = ["main"]

NICE = 5
"""Where there is too little processor time, whoever decides gets more of it."""


class _Ended(KeyboardInterrupt):
    """Asked to. Of this kind, because psycopg cancels the statement that it waits for then."""


def main(argv: list[str]) -> None:
    level, parent, says = map(int, argv)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which ends this one
    os.set_blocking(says, False)  # a runner that is frozen reads nothing
    os.nice(NICE)
    with suppress(_Ended):
        die_with_parent(parent)
        django.setup()
        log_to_stderr(level)
        _follow(says)
    os._exit(0)  # whatever threads a follower has


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # asked once more, it would not end in order
    raise _Ended


def _follow(says: int) -> None:
    from ...followers import while_taking_long
    from ...ledger import store
    from ...ledger.backend import backend_of
    from .steps import follow_some, seconds_until_look

    backend_of(store.connection()).leave_pool(store.connection())  # one is enough
    with while_taking_long(lambda takes_long: _say(says, BUSY if takes_long else ALIVE)):
        while True:
            _say(says, ALIVE)
            if not follow_some():
                time.sleep(seconds_until_look())


def _say(says: int, what: bytes) -> None:
    try:
        os.write(says, what)
    except BlockingIOError:  # nobody listens now
        pass
    except BrokenPipeError:  # nobody ever will
        raise _Ended from None


if __name__ == "__main__":
    main(sys.argv[1:])
