"""What the line of an event has in it, so that others need not be parsed."""

from __future__ import annotations

import json

from ..core.events import runner_stream

__all__ = ["NO_CRON", "RUNNER", "cron_needle", "run_needle", "stream_needle"]

NO_CRON = b'"cron":""'
RUNNER = b'"stream":"' + runner_stream("").encode()


def cron_needle(name: str) -> bytes:
    return b'"cron":' + json.dumps(name, ensure_ascii=False).encode() + b","


def run_needle(run_id: str) -> bytes:
    return b'"run_id":"' + run_id.encode()


def stream_needle(stream: str) -> bytes:
    return b'"stream":' + json.dumps(stream, ensure_ascii=False).encode()
