"""Whether crons run at all, for the top of a page: without a look at any cron, so that it costs the
same for one cron and for thousands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from ..core.explain.obstacles import Obstacle, ObstacleKind
from ..core.wording import clause
from ..execution.enqueuer import Enqueuer
from ..execution.spool import spool_length
from .obstacles import all_paused_obstacles, queue_obstacles_at
from .runners import Standing, runner_standing

__all__ = ["Glance", "at_a_glance"]


@dataclass(slots=True, kw_only=True)
class Glance:
    """What keeps all crons, or all of a queue, from running."""

    obstacles: list[Obstacle] = field(default_factory=list)
    spool_length: int = 0
    """Runs whose events wait in those Redis that answer."""


def at_a_glance(queues: Collection[str], redis_seconds_max: float) -> Glance:
    """Look at the lease, the pauses of everything, and each Redis with these queues of it.

    ``redis_seconds_max``: how long one answer of a Redis may take. Raises Django's database errors.
    """
    found = Glance()
    standing = runner_standing()
    found.obstacles += [standing.obstacle] if standing.obstacle else []
    found.obstacles += all_paused_obstacles()
    _look_at_redis(found, queues, standing, redis_seconds_max)
    return found


def _look_at_redis(
    found: Glance, queues: Collection[str], standing: Standing, seconds_max: float
) -> None:
    enqueuer = Enqueuer(seconds_max, tries_once=True)
    for text in enqueuer.unusable_queues():
        found.obstacles.append(Obstacle(kind=ObstacleKind.REDIS_AWAY, text=clause(text)))
    for redis, connection in enqueuer.servers().items():
        here = [name for name in sorted(queues) if enqueuer.redis_of(name) == redis]
        try:
            found.spool_length += spool_length([connection])
            found.obstacles += queue_obstacles_at(connection, here, enqueuer, standing)
        except RedisError as error:  # the others may answer
            text = f"Redis does not answer ({redis}): {clause(error)}"
            found.obstacles.append(Obstacle(kind=ObstacleKind.REDIS_AWAY, text=text))
