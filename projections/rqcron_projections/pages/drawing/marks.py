"""What became of a slot, as a mark: a letter, a shape, a colour and a word. Never colour alone."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Fate"]


class Fate(StrEnum):
    """The value is the class of its colour (``rqcron-late``) and the id of its shape."""

    ON_TIME = "on_time"
    """It fired on time, and its run did not fail (it succeeded, was declined or waits in a queue)."""
    LATE = "late"
    """The same, but later than it was due."""
    SKIPPED = "skipped"
    MISSED = "missed"
    RUNNING = "running"
    FAILED = "failed"
    """It fired, and its run failed, was lost, stopped or cancelled."""
    PENDING = "pending"
    """Nobody has decided it yet, or it fired and its run has not started."""
    ARCHIVED = "archived"
    """It came before the end of the archive, and the log has no decision about it (any more)."""
    UNACCOUNTED = "unaccounted"
    """The definition in force promised it, and no decision covers it."""

    @property
    def letter(self) -> str:
        return self.value[0].upper()

    @property
    def word(self) -> str:
        return self.value.replace("_", " ")

    @property
    def meaning(self) -> str:
        """For the legend."""
        return _MEANINGS[self]


_MEANINGS = {
    Fate.ON_TIME: "fired on time",
    Fate.LATE: "fired later than it was due",
    Fate.SKIPPED: "paused, disabled, or a run was active",
    Fate.MISSED: "too late, or a later slot ran instead",
    Fate.RUNNING: "fired, and its run is running",
    Fate.FAILED: "fired, and its run failed or was lost",
    Fate.PENDING: "not decided yet, or its run has not started",
    Fate.ARCHIVED: "its decision is in the archive, which the page of the slot, cron_explain and cron_audit read",
    Fate.UNACCOUNTED: "promised, and no decision is recorded",
}
