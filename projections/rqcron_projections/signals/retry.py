"""When what was not taken is tried again, and for how long."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["ANSWER_CHARS_MAX", "GIVE_UP_SECONDS", "KEPT", "back_off"]

BACK_OFF_SECONDS_MIN = 5.0
BACK_OFF_SECONDS_MAX = 600.0
GIVE_UP_SECONDS = 3 * 86_400.0
"""After which a receiver is not asked again with the same message."""
KEPT = timedelta(days=30)
"""How long what was given up can be looked at."""
ANSWER_CHARS_MAX = 500


def back_off(attempts: int, wait_seconds: float = 0.0) -> timedelta:
    """How long to wait after so many tries and one more; ``wait_seconds``: what the receiver asks for,
    within bounds."""
    seconds = BACK_OFF_SECONDS_MIN * 2 ** min(attempts, 20)
    return timedelta(seconds=min(max(seconds, wait_seconds), BACK_OFF_SECONDS_MAX))
