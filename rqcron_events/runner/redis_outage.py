"""Telling about an outage of Redis once, not with every attempt to use it."""

from __future__ import annotations

import logging

from ..core.wording import clause

__all__ = ["RedisOutage"]

log = logging.getLogger(__name__)


class RedisOutage:
    """Whether Redis is away."""

    def __init__(self) -> None:
        self._away = False

    def begins(self, error: str) -> bool:
        """Redis did not answer; True when it did before."""
        if self._away:
            return False
        self._away = True
        log.error(
            "Redis cannot be used: %s. Decisions go on; jobs follow when it is back.",
            clause(error),
            extra={"action": "redis_away"},
        )
        return True

    def ends(self) -> None:
        """Redis answered."""
        if self._away:
            self._away = False
            log.warning("Redis is back.", extra={"action": "redis_back"})
