"""How far this machine's clock is from the database's, which is the only one that all share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from .. import clock
from ..conf import conf
from ..errors import ClockSkewed
from ..ledger import store
from ..ledger.backend import backend_of

__all__ = ["ClockSkew", "check_clock", "skew_seconds", "skew_text"]

MEASURE_SECONDS = 5.0
"""How often the clocks are compared while nothing happens; drift is slow."""
JUMP_SECONDS = 0.2
"""A clock that moved by more than this against the monotonic one was set, so it is measured again
before anything is decided by it."""
RESOLUTION_SECONDS = 0.002
"""SQLite's clock tells milliseconds."""


class ClockSkew:
    """Measures, and remembers what it measured. One per thread: it uses the thread's connection."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """How far this machine's clock is ahead of the database's; below zero: behind."""
        self._measured_at = float("-inf")
        self._offset = 0.0
        """The clock less the monotonic one, when it was measured."""

    def is_bounded(self) -> bool:
        """Whether one may decide by this machine's clock. Raises Django's database errors.

        Costs a round trip now and then, and always after the clock was set. Ask after you have read
        the time that you decide by.
        """
        self._look()
        return abs(self.seconds) <= conf().clock_skew_seconds_max

    def database_now(self) -> datetime:
        """The time by the database's clock. Raises Django's database errors."""
        self._look()
        return clock.now() - timedelta(seconds=self.seconds)

    def _look(self) -> None:
        monotonic = clock.monotonic_seconds()
        offset = clock.machine_seconds() - monotonic
        jumped = abs(offset - self._offset) > JUMP_SECONDS
        if jumped or monotonic - self._measured_at >= MEASURE_SECONDS:
            db = store.connection()
            backend = backend_of(db)
            self.seconds = skew_seconds(lambda: backend.clock_seconds(db))
            self._measured_at = clock.monotonic_seconds()
            self._offset = clock.machine_seconds() - self._measured_at


def skew_seconds(ask: Callable[[], float]) -> float:
    """How far this machine's clock is ahead of the one that ``ask`` tells (seconds since the epoch).

    The answer is from somewhere between the question and its receipt: what that can explain is no
    skew.
    """
    asked_at = clock.monotonic_seconds()
    told = ask()
    half_round_trip = (clock.monotonic_seconds() - asked_at) / 2
    ahead = clock.machine_seconds() - half_round_trip - told
    certain = max(abs(ahead) - half_round_trip - RESOLUTION_SECONDS, 0.0)
    return round(certain if ahead > 0 else -certain, 3)


def check_clock() -> None:
    """Raises ClockSkewed where nobody may decide by this machine's clock."""
    skew = ClockSkew()
    if not skew.is_bounded():
        raise ClockSkewed(skew_text(skew.seconds, "This machine's clock") + " Set it right.")


def skew_text(seconds: float, whose: str, other: str = "the database's") -> str:
    """One sentence; it does not say whose fault it is."""
    where = "ahead of" if seconds > 0 else "behind"
    return f"{whose} is {abs(seconds):,.1f} s {where} {other}."
