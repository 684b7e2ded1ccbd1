"""A POST of the checkpoint, which is signed by itself; and what asks a server in the same way."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from .publish import NotTaken

__all__ = ["ask", "post"]

STEP_SECONDS_MAX = 5.0
"""For the connection, and for each answer."""
SECONDS_MAX = 20.0
"""For all of it, however slowly the answer drips."""
ANSWER_BYTES_MAX = 65_536


def post(url: str, note: str, token: str = "") -> str:
    """Follows no redirect. Raises NotTaken."""
    status, _ = ask(url, note.encode(), "text/plain; charset=utf-8", token)
    return f"HTTP {status}"


def ask(url: str, content: bytes, content_type: str, token: str = "") -> tuple[int, bytes]:
    """The status, 200 to 299, and at most 64 kB of the answer. Raises NotTaken."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    headers = {"Content-Type": content_type, "User-Agent": "rqcron-events"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    ends: threading.Timer | None = None
    try:
        connection.connect()
        ends = threading.Timer(SECONDS_MAX, _cut, [connection.sock])
        ends.daemon = True
        ends.start()
        connection.request("POST", target, content, headers)
        response = connection.getresponse()
        status, answer = response.status, response.read(ANSWER_BYTES_MAX)
    except (OSError, HTTPException, ValueError) as error:
        # Not its text, which may name more than the fault.
        raise NotTaken(f"no answer ({type(error).__name__})") from None
    finally:
        if ends is not None:
            ends.cancel()
        connection.close()
    if not 200 <= status < 300:
        raise NotTaken(f"HTTP {status}")
    return status, answer


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(host, port, timeout=STEP_SECONDS_MAX, context=context)
    return HTTPConnection(host, port, timeout=STEP_SECONDS_MAX)


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
