"""A stretch of time in which nobody could decide, and why. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

__all__ = ["Downtime", "DowntimeCause"]


class DowntimeCause(StrEnum):
    """Why nobody decided for a while."""

    NO_RUNNER = "no_runner"
    """No runner was alive."""
    DATABASE_AWAY = "database_away"
    """A runner was, and the database did not answer it."""
    STALE_LEASE = "stale_lease"
    """The leading runner fell silent until another took over."""


class Downtime(NamedTuple):
    """A stretch of time in which nobody could decide."""

    since: datetime | None
    """When the last runner ended or was last heard of; None when there never was one."""
    until: datetime | None
    """When the next one started; None while there is none."""
    cause: DowntimeCause = DowntimeCause.NO_RUNNER
    runner: str = ""
    """Who fell silent, when the cause is a stale lease."""

    def covers(self, instant: datetime) -> bool:
        after = self.since is None or self.since <= instant
        return after and (self.until is None or instant <= self.until)

    def to_data(self) -> dict[str, Any]:
        return {
            "since": self.since.astimezone(UTC).isoformat() if self.since else None,
            "until": self.until.astimezone(UTC).isoformat() if self.until else None,
            "cause": self.cause.value,
            "runner": self.runner,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_data``."""
        return cls(
            datetime.fromisoformat(data["since"]) if data["since"] else None,
            datetime.fromisoformat(data["until"]) if data["until"] else None,
            DowntimeCause(data["cause"]),
            data.get("runner", ""),
        )
