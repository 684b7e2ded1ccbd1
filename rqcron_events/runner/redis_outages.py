"""Telling about an outage of a Redis once, not with every attempt to use it: of each by itself."""

from __future__ import annotations

import logging

from ..core.wording import clause

__all__ = ["RedisOutages"]

log = logging.getLogger(__name__)


class RedisOutages:
    """Which Redis servers are away, each by its address."""

    def __init__(self) -> None:
        self._away: set[str] = set()
        self._recorded: set[str] = set()

    @property
    def away(self) -> frozenset[str]:
        return frozenset(self._away)

    def begins(self, redis: str, error: str) -> None:
        """This one does not answer, or takes nothing."""
        if redis not in self._away:
            self._away.add(redis)
            log.error(
                "Redis cannot be used (%s): %s. Decisions go on; jobs follow when it is back.",
                redis,
                clause(error),
                extra={"action": "redis_away", "redis": redis},
            )

    def is_news(self, redis: str) -> bool:
        """True once in an outage: for the event that is recorded of it."""
        news = redis not in self._recorded
        self._recorded.add(redis)
        return news

    def ends(self, redis: str) -> None:
        """This one took something."""
        self._recorded.discard(redis)
        if redis in self._away:
            self._away.discard(redis)
            log.warning(
                "Redis is back (%s).", redis, extra={"action": "redis_back", "redis": redis}
            )
