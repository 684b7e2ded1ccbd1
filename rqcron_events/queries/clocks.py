"""How far the clocks of runners, this machine, the database and Redis are apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from redis import Redis

from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import EventType, runner_stream
from ..core.events.keys import DATABASE_SKEW_SECONDS
from ..core.explain.obstacles import Obstacle, ObstacleKind
from ..core.wording import clause
from ..execution.redis_clock import redis_seconds
from ..leadership.clock_skew import ClockSkew, skew_seconds, skew_text
from ..leadership.lease import Lease
from ..models import CronEvent

__all__ = [
    "Clocks",
    "clock_obstacles",
    "compare_clocks",
    "compare_redis",
    "event_of_the_future",
    "silent_crons",
]

FUTURE_SECONDS_MAX = 30.0
"""What lies further in the future was written by a clock that was wrong."""
NAMED_MAX = 3
"""Crons that a sentence names."""


@dataclass(slots=True, kw_only=True)
class Clocks:
    """What was measured, in seconds; below zero: behind."""

    database_skew_seconds: float = 0.0
    """How far this machine's clock is ahead of the database's."""
    redis_skew_seconds: float | None = None
    """How far Redis' clock is ahead of the database's; of several servers the one that differs
    most, None when none answers."""
    runner_skew_seconds: dict[str, float] = field(default_factory=dict)
    """Runners that decide nothing, because their clocks are so far ahead of the database's."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_data(self) -> dict[str, Any]:
        return {
            "database_skew_seconds": self.database_skew_seconds,
            "redis_skew_seconds": self.redis_skew_seconds,
            "runner_skew_seconds": self.runner_skew_seconds,
        }


def compare_clocks() -> Clocks:
    """Ask the database and the log. Raises Django's database errors."""
    skew, settings = ClockSkew(), conf()
    skew.database_now()
    found = Clocks(database_skew_seconds=skew.seconds)
    if abs(skew.seconds) > settings.clock_skew_warning_seconds:
        found.warnings.append(skew_text(skew.seconds, "This machine's clock"))
    found.runner_skew_seconds = _skewed_runners()
    found.problems = [obstacle.sentence for obstacle in _of_runners(found.runner_skew_seconds)]
    return found


def clock_obstacles() -> list[Obstacle]:
    """Runners that decide nothing because of their clocks. Raises Django's database errors."""
    return _of_runners(_skewed_runners())


def _of_runners(skewed: Mapping[str, float]) -> list[Obstacle]:
    return [
        Obstacle(
            kind=ObstacleKind.CLOCK_SKEWED,
            text=clause(skew_text(seconds, f"the clock of runner {runner}")),
            remedy="It decides nothing until they differ by no more than "
            f"{conf().clock_skew_seconds_max:g} s: set that machine's clock.",
        )
        for runner, seconds in skewed.items()
    ]


def compare_redis(found: Clocks, connections: Iterable[Redis]) -> list[str]:
    """Ask these, and return warnings. Raises redis-py's errors."""
    for connection in connections:
        ahead = skew_seconds(partial(redis_seconds, connection))
        redis = round(found.database_skew_seconds - ahead, 3)
        if found.redis_skew_seconds is None or abs(redis) > abs(found.redis_skew_seconds):
            found.redis_skew_seconds = redis
    redis = found.redis_skew_seconds or 0.0
    if abs(redis) > conf().clock_skew_warning_seconds:
        return [skew_text(redis, "Redis' clock")]
    return []


def _skewed_runners() -> dict[str, float]:
    """Of the runners that are alive, those whose last word about their clock is that it is wrong."""
    streams = {runner_stream(runner): runner for runner in Lease("").alive_runners()}
    rows = (
        CronEvent.objects.using(conf().database)
        .filter(stream__in=list(streams), type__in=(EventType.CLOCK_SKEWED, EventType.CLOCK_AGREES))
        .order_by("id")
    )
    last = {row.stream: row for row in rows}
    return {
        streams[stream]: float(row.data.get(DATABASE_SKEW_SECONDS, 0))
        for stream, row in last.items()
        if row.type == EventType.CLOCK_SKEWED
    }


def silent_crons(states: Mapping[str, CronState], now: datetime) -> str:
    """One sentence when crons are decided up to the future, where nobody decides them again."""
    ahead = {
        name: (state.watermark - now).total_seconds()
        for name, state in states.items()
        if state.watermark is not None
    }
    silent = sorted(name for name, seconds in ahead.items() if seconds > _future())
    if not silent:
        return ""
    names = ", ".join(repr(name) for name in silent[:NAMED_MAX])
    more = f" and {len(silent) - NAMED_MAX} more" if len(silent) > NAMED_MAX else ""
    furthest = max(ahead[name] for name in silent)
    return (
        f"Slots of {names}{more} are decided up to {furthest:.0f} s in the future, by a clock that "
        "was ahead or before one was set back: nothing fires until then. cron_rewind NAME, or --all, "
        "takes that back."
    )


def event_of_the_future(now: datetime) -> str:
    """One sentence when the newest event lies in the future: behind the log a runner decides
    nothing, which is right, and must not look like a quiet night."""
    rows = CronEvent.objects.using(conf().database).order_by("-id")
    newest = rows.values_list("occurred_at", flat=True).first()
    ahead = (newest - now).total_seconds() if newest else 0
    if ahead <= _future():
        return ""
    return (
        f"The newest event of the log lies {ahead:.0f} s in the future of the database's clock. Check "
        "the clock of the machine that wrote it: cron_events shows which."
    )


def _future() -> float:
    return max(FUTURE_SECONDS_MAX, conf().clock_skew_seconds_max)
