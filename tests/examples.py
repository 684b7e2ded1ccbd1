"""How many examples a test of a property tries."""

from __future__ import annotations

import os

FEWER = int(os.environ.get("RQCRON_FEWER_EXAMPLES", "1"))
"""A run that counts which lines are reached needs few of them, and each takes three times as long."""
EXAMPLES_MIN = 5


def examples(count: int) -> int:
    """``count``, or a part of it where the run says so."""
    return max(min(count, EXAMPLES_MIN), count // FEWER)
