"""A bound on what the ledger may cost a job when the database hangs instead of refusing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["TookTooLong", "time_limit"]


AGAIN_SECONDS = 0.25
"""It is raised again and again: users' code, and Python's own formatting of exceptions, catch all."""


class TookTooLong(Exception):
    """The block did not end within its bound."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong inside the block after ``seconds``.

    RQ bounds a job with the same timer (SIGALRM). It is stopped meanwhile and set again with what
    was left of it, so the job loses the time but not its own bound. Outside of a main thread,
    where signals do not arrive, there is no bound.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"no answer within {seconds} s")

    # A function may have left it blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, interrupt)
    remaining, _ = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if remaining:
            left = remaining - (time.monotonic() - began)
            # Never zero, which would switch the job's own bound off.
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
