"""The only module that reads the time, so that tests can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["machine_seconds", "monotonic_seconds", "now"]


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)


def machine_seconds() -> float:
    """What the clock of this machine says, as seconds since the Unix epoch: to be measured against
    other clocks, and never to decide by."""
    return time.time()


def monotonic_seconds() -> float:
    """A clock that never goes back, for durations."""
    return time.monotonic()
