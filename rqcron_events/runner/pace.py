"""How much of what others wrote is read at one go, before what is due is decided."""

from __future__ import annotations

from collections.abc import Callable

from .. import clock
from ..ledger.cron_states import States
from .due_queue import Agenda

__all__ = ["Pace"]

SECONDS_MAX = 0.1
"""Of one tick, which then decides on what it knows."""
BEHIND_SECONDS_MAX = 2.0
"""Who has not been at the end of the log for so long reads on, whatever is due."""


class Pace:
    """Where something is due, a page is read and no more; the rest while nothing is."""

    def __init__(self) -> None:
        self._current_at = float("-inf")
        """Monotonic seconds: when the end of the log was reached last."""

    def follow(self, states: States, agenda: Agenda, progress: Callable[[], None]) -> set[str]:
        """Fold some of it; the names of the crons that it concerns."""
        seconds = agenda.seconds_until_next(clock.now(), SECONDS_MAX)
        if clock.monotonic_seconds() - self._current_at > BEHIND_SECONDS_MAX:
            seconds = SECONDS_MAX
        touched = states.follow(progress, seconds_max=seconds)
        if not states.is_behind:
            self._current_at = clock.monotonic_seconds()
        return touched
