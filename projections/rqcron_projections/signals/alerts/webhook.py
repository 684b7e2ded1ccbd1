"""A POST that is signed as Standard Webhooks says (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from rqcron_events import clock

from ..http import NotTaken, Refused, request
from .conf import Receiver, secret_bytes
from .message import Message

__all__ = ["send_webhook", "signature"]

NEVER_TAKEN = frozenset({400, 413, 415, 422})
"""Answers about the message itself: the same one gets them again."""


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
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(key, message.id, timestamp, body),
    }
    answer = request("POST", receiver.options["url"], headers, body)
    if 200 <= answer.status < 300:
        return f"HTTP {answer.status}"
    if answer.status in NEVER_TAKEN:
        raise Refused(f"HTTP {answer.status}")
    raise NotTaken(f"HTTP {answer.status}", answer.wait_seconds)
