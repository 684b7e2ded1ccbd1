"""Telling about an outage of Redis once, not with every attempt to use it."""

from __future__ import annotations

import logging

from ..core.wording import clause

__all__ = ["RedisOutage"]

log = logging.getLogger(__name__)


class RedisOutage:
    """Which Redis servers are away."""

    def __init__(self) -> None:
        self._away: set[str] = set()

    def begins(self, error: str, redis: str = "") -> bool:
        """This Redis did not answer, or any when it is not named; True when it did before."""
        if redis in self._away or (self._away and not redis):
            return False
        if "" not in self._away:  # otherwise it is told already
            log.error(
                "Redis cannot be used: %s. Decisions go on; jobs follow when it is back.",
                clause(error),
                extra={"action": "redis_away"},
            )
        self._away.add(redis)
        return True

    def ends(self, redis: str = "") -> None:
        """This Redis answered, or all of them when it is not named."""
        back = self._away & {redis} if redis else set(self._away)
        if back:
            self._away -= back
            log.warning("Redis is back.", extra={"action": "redis_back"})
