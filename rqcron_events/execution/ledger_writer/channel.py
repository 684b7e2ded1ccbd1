"""A work-horse's side: asking the writer, and what counts as no answer."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ... import clock
from ...conf import conf
from ...core.events import Event
from ...process.failpoints import reach
from .message import ANSWER_BYTES_MAX, encode, version_in

__all__ = ["Channel", "ask_ahead", "ask_seconds", "current", "offered"]

log = logging.getLogger(__name__)


def ask_seconds() -> float:
    """How long an answer may take: half of what a job may be held up. In the other half it writes by itself."""
    return conf().worker_wait_seconds / 2


class Channel:
    """The way to the writer, for one work-horse. It is closed with the first thing that goes wrong."""

    def __init__(self, end: socket.socket, ahead: Event | None = None) -> None:
        self._socket = end
        self._file = _file_of(end)
        self._is_open = True
        self.ahead = ahead
        """What the worker asked for before the fork, so that it is written meanwhile. The first answer is to that."""

    def ask(self, event: Event) -> int | None:
        """Have an event of a run written: the version as which it is committed, or 0 when another
        writer had the last word. None: not as far as is known; it may still be, at any time later.
        """
        if not self._is_open:
            return None
        self._is_open = False  # whatever ends this early: a later answer would be to this question
        ahead, self.ahead = self.ahead, None
        try:
            if ahead is not None and ahead != event:
                raise ValueError("the worker has asked for another event")
            answer = self._exchange(b"" if ahead else encode(event), ask_seconds())
            version = version_in(answer)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            log.debug(
                "The writer was not reached: %s", error, extra={"action": "writer_not_reached"}
            )
            self._close()
            return None
        self._is_open = True
        if version is None:
            log.debug(
                "The writer answers: %s",
                answer.decode(errors="replace"),
                extra={"action": "writer_refuses"},
            )
        return version

    def _exchange(self, ask: bytes, seconds: float) -> bytes:
        """``ask``: empty when that is done. Raises OSError, TimeoutError included."""
        if _file_of(self._socket) != self._file:
            raise OSError("the function has closed it, and the number is another file's by now")
        ends_at = clock.monotonic_seconds() + seconds
        self._socket.settimeout(seconds)
        self._socket.sendall(ask)
        reach("after_ask")
        answer = b""
        while not answer.endswith(b"\n"):
            self._socket.settimeout(max(ends_at - clock.monotonic_seconds(), 0.001))
            part = self._socket.recv(ANSWER_BYTES_MAX)
            if not part:
                raise OSError("the writer is gone")
            answer += part
        return answer

    def _close(self) -> None:
        with suppress(OSError):
            if _file_of(self._socket) == self._file:
                self._socket.close()
                return
        self._socket.detach()


def _file_of(end: socket.socket) -> tuple[int, int]:
    found = os.fstat(end.fileno())
    return found.st_dev, found.st_ino


def ask_ahead(end: socket.socket, event: Event) -> bool:
    """The worker's part, before it forks. False when it has not asked; never waits."""
    try:
        ask = encode(event)
        return end.send(ask, socket.MSG_DONTWAIT) == len(ask)  # the buffer is empty
    except (OSError, ValueError, TypeError, RecursionError) as error:
        log.debug(
            "Nothing is asked before the fork: %s", error, extra={"action": "not_asked_ahead"}
        )
        return False


_current: Channel | None = None
"""Of this process: set in a worker just before it forks."""


def current() -> Channel | None:
    """This work-horse's channel; None where there is no writer."""
    return _current


@contextmanager
def offered(end: socket.socket, ahead: Event | None = None) -> Iterator[None]:
    """Around a fork: the child has this channel, over which ``ahead`` is asked for already."""
    global _current
    _current = Channel(end, ahead)
    try:
        yield
    finally:
        _current = None
