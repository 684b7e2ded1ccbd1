"""One request to a receiver, within bounds: whatever is at the other end, it takes seconds at most."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Answer", "NotReached", "NotTaken", "Refused", "request"]

STEP_SECONDS_MAX = 5.0
"""For the connection, and for each answer."""
SECONDS_MAX = 20.0
"""For all of it, however slowly the answer drips."""
TEXT_BYTES_MAX = 1_000
"""Of an answer, where its text matters."""


class NotTaken(Exception):
    """The receiver was not reached, or did not take the message; it may do so later."""

    def __init__(self, text: str, wait_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds
        """What it asks for."""


class NotReached(NotTaken):
    """Nobody answered: that is not about the message."""


class Refused(NotTaken):
    """It will never take this message."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    wait_seconds: float
    """For how long the server asks to be left alone (``Retry-After``)."""
    headers: Mapping[str, str]
    """By name in lower case."""
    text: str
    """Its beginning, where it was asked for."""


def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    with_text: bool = False,
) -> Answer:
    """Follows no redirect. Raises NotReached, whose text names neither the URL nor what is in it."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
    except OSError as error:
        raise NotReached(f"not reached ({_named(error)})") from None
    ends = threading.Timer(SECONDS_MAX, _cut, [connection.sock])
    ends.daemon = True
    ends.start()
    try:
        connection.request(method, target, body, {"User-Agent": "rqcron-events", **headers})
        found = connection.getresponse()
        return Answer(
            found.status,
            _retry_after(found),
            {name.lower(): value for name, value in found.getheaders()},
            _text(found) if with_text else "",
        )
    except (OSError, HTTPException) as error:
        raise NotReached(f"no answer ({_named(error)})") from None
    finally:
        ends.cancel()
        connection.close()


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(host, port, timeout=STEP_SECONDS_MAX, context=context)
    return HTTPConnection(host, port, timeout=STEP_SECONDS_MAX)


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _text(answer: HTTPResponse) -> str:
    """The status has been told: what is missing of the text does not undo that."""
    try:
        return answer.read(TEXT_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""


def _retry_after(answer: HTTPResponse) -> float:
    text = answer.getheader("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


def _named(error: Exception) -> str:
    """Not its text, which may name more than the fault."""
    return type(error).__name__
