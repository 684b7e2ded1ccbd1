"""A bound on what the ledger may cost a job when the database hangs instead of refusing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["TookTooLong", "alarm_again", "time_limit"]


AGAIN_SECONDS = 0.25
"""It is raised again and again: users' code, and Python's own formatting of exceptions, catch all."""


class TookTooLong(Exception):
    """The block did not end within its bound."""


class time_limit:  # noqa: N801 - a context manager, as those of contextlib
    """Raise TookTooLong inside the block after ``seconds``.

    RQ bounds a job with the same timer (SIGALRM). It is stopped meanwhile and set again with what
    was left of it, so the job loses the time but not its own bound. Outside of a main thread,
    where signals do not arrive, there is no bound.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_bound = threading.current_thread() is threading.main_thread()
        self._is_over = False
        self._handler: Any = None
        self._began = self._remaining = self._interval = 0.0

    def __enter__(self) -> None:
        if not self._is_bound:
            return
        # A function may have left it blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        self._began = time.monotonic()
        self._handler = signal.signal(signal.SIGALRM, self._interrupt)
        self._remaining, self._interval = signal.setitimer(
            signal.ITIMER_REAL, self._seconds, AGAIN_SECONDS
        )

    def __exit__(self, *_: object) -> None:
        if not self._is_bound:
            return
        self._is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if self._handler is None else self._handler)
        if self._remaining:
            left = self._remaining - (time.monotonic() - self._began)
            # Never zero, which would switch the job's own bound off.
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), self._interval)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # An error that began in these would leave this handler in the place of RQ's. In the first it comes again.
        if self._is_over or (frame is not None and frame.f_code in _OURS):
            return
        raise TookTooLong(f"no answer within {self._seconds} s")


_OURS = (time_limit.__enter__.__code__, time_limit.__exit__.__code__)


@contextmanager
def alarm_again(raises: type[Exception]) -> Iterator[None]:
    """RQ's alarm, which ``raises`` that, comes again and again inside the block, which may swallow one; once behind it, because a
    function may clean up then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    if left:
        signal.setitimer(signal.ITIMER_REAL, left, AGAIN_SECONDS)
    try:
        yield
    except raises:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise
    finally:
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        if left:
            signal.setitimer(signal.ITIMER_REAL, left)
