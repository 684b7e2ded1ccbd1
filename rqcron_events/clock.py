"""The only module that reads the time, so that tests can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["monotonic_seconds", "now"]


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """A clock that never goes back, for durations."""
    return time.monotonic()
