"""A POST that is signed as Standard Webhooks says (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from rqcron_events import clock

from .conf import Receiver, secret_bytes
from .message import Message

__all__ = ["NotTaken", "Refused", "send_webhook", "signature"]

STEP_SECONDS_MAX = 5.0
"""For the connection, and for each answer."""
SECONDS_MAX = 20.0
"""For all of it, however slowly the answer drips."""
NEVER_TAKEN = frozenset({400, 413, 415, 422})
"""Answers about the message itself: the same one gets them again."""


class NotTaken(Exception):
    """The receiver was not reached, or did not take the message; it may do so later."""

    def __init__(self, text: str, wait_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds
        """What it asks for."""


class Refused(NotTaken):
    """It will never take this message."""


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def send_webhook(receiver: Receiver, message: Message) -> str:
    """Follows no redirect. Raises NotTaken and Refused."""
    key = secret_bytes(receiver.options["secret"])
    assert key is not None, "the settings were checked"
    # Sorted: a database gives keys back in another order, and each try sends the same bytes.
    text = json.dumps(message.data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    body = text.encode()
    timestamp = int(clock.now().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "rqcron-events",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(key, message.id, timestamp, body),
    }
    status, wait_seconds = _post(receiver.options["url"], body, headers)
    if 200 <= status < 300:
        return f"HTTP {status}"
    if status in NEVER_TAKEN:
        raise Refused(f"HTTP {status}")
    raise NotTaken(f"HTTP {status}", wait_seconds)


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
    """The status, and for how many seconds the server asks to be left alone."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
    except OSError as error:
        raise NotTaken(f"not reached ({_named(error)})") from None
    ends = threading.Timer(SECONDS_MAX, _cut, [connection.sock])
    ends.daemon = True
    ends.start()
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        return answer.status, _retry_after(answer)
    except (OSError, HTTPException) as error:
        raise NotTaken(f"no answer ({_named(error)})") from None
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


def _retry_after(answer: HTTPResponse) -> float:
    text = answer.getheader("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


def _named(error: Exception) -> str:
    """Not its text, which may name more than the fault."""
    return type(error).__name__
