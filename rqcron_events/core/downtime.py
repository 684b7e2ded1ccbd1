"""A stretch of time in which nobody could decide, and why. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from .events.keys import HELD_UP_CAUSE, HELD_UP_RUNNER, HELD_UP_SINCE, HELD_UP_UNTIL

__all__ = ["Downtime", "DowntimeCause"]


class DowntimeCause(StrEnum):
    """Why nobody decided for a while."""

    NO_RUNNER = "no_runner"
    """No runner was alive."""
    DATABASE_AWAY = "database_away"
    """A runner was, and the database did not answer it."""
    STALE_LEASE = "stale_lease"
    """The leading runner fell silent until another took over."""
    CLOCK_SKEWED = "clock_skewed"
    """The runner's clock differed from the database's, so it decided nothing."""
    BETWEEN_CALLS = "between_calls"
    """``cron_run --once`` is what decides here, and it was not called: no downtime, but why a slot
    fires late."""


class Downtime(NamedTuple):
    """A stretch of time in which nobody could decide."""

    since: datetime | None
    """When the last runner ended or was last heard of; None when there never was one."""
    until: datetime | None
    """When the next one started; None while there is none."""
    cause: DowntimeCause = DowntimeCause.NO_RUNNER
    runner: str = ""
    """Who fell silent, or whose clock was wrong, when that is the cause."""

    def covers(self, instant: datetime) -> bool:
        after = self.since is None or self.since <= instant
        return after and (self.until is None or instant <= self.until)

    def to_data(self) -> dict[str, Any]:
        return {
            HELD_UP_SINCE: self.since.astimezone(UTC).isoformat() if self.since else None,
            HELD_UP_UNTIL: self.until.astimezone(UTC).isoformat() if self.until else None,
            HELD_UP_CAUSE: self.cause.value,
            HELD_UP_RUNNER: self.runner,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_data``."""
        return cls(
            datetime.fromisoformat(data[HELD_UP_SINCE]) if data[HELD_UP_SINCE] else None,
            datetime.fromisoformat(data[HELD_UP_UNTIL]) if data[HELD_UP_UNTIL] else None,
            DowntimeCause(data[HELD_UP_CAUSE]),
            data.get(HELD_UP_RUNNER, ""),
        )
