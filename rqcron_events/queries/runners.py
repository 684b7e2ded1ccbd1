"""Does anybody decide? By the lease, and by the calls of ``cron_run --once``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import clock
from ..conf import conf
from ..core.events import RUNNER_TYPES, EventType
from ..core.explain.obstacles import Obstacle, ObstacleKind
from ..core.wording import duration, shower
from ..leadership.calls import BURST, Calls, newest_calls
from ..leadership.lease import LEADER, seconds_since_renewal
from ..models import CronEvent

__all__ = ["Standing", "runner_standing", "standing_by_calls", "standing_by_lease"]

START = "Start cron_worker or cron_run."


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who decides."""

    leader: str = ""
    """A runner's id, or the command that is called now and then."""
    leader_seconds: float | None = None
    """Since its last heartbeat, by the database's clock, or since the last call."""
    obstacle: Obstacle | None = None
    calls: Calls | None = None
    """None where a runner leads."""

    @property
    def allowed_lag(self) -> timedelta:
        """How long a slot may be undecided because nobody is called yet."""
        return self.calls.allowed if self.calls else timedelta(0)

    @property
    def works_in_bursts(self) -> bool:
        """Workers come and go, too."""
        return self.calls is not None and self.calls.command == BURST


def runner_standing() -> Standing:
    """Raises Django's database errors."""
    found = standing_by_lease()
    return found if found.leader else standing_by_calls()


def standing_by_lease() -> Standing:
    """By one small row; where nobody leads, ``standing_by_calls`` has the last word."""
    leader, age = seconds_since_renewal(LEADER)
    if not leader or age is None:
        return Standing(obstacle=_no_runner("no runner leads", START))
    seconds, obstacle = max(age, 0.0), None
    if age > conf().lease_seconds:
        obstacle = _no_runner(
            f"the leader {leader} has been silent for {age:.0f} s",
            START,
            clock.now() - timedelta(seconds=age),
        )
    elif age < -conf().lease_seconds:
        obstacle = _no_runner(
            f"the last heartbeat of the leader {leader} lies {-age:.0f} s in the future of the "
            "database's clock, which was set back",
            "A runner that is alive takes over; otherwise start cron_worker or cron_run.",
        )
    return Standing(leader=leader, leader_seconds=seconds, obstacle=obstacle)


def standing_by_calls() -> Standing:
    """Where nobody leads: by the log. Raises Django's database errors."""
    calls = newest_calls()
    if calls is None:
        rows = CronEvent.objects.using(conf().database).filter(type__in=RUNNER_TYPES)
        last = rows.order_by("-occurred_at", "-id").first()
        ended = last is not None and last.type != EventType.RUNNER_STARTED
        since = last.fact().occurred_at if ended and last else None
        when = f" since {shower(None)(since)}" if since else ""
        return Standing(obstacle=_no_runner(f"no runner leads{when}", START, since))
    silent = (clock.now() - calls.last).total_seconds()
    obstacle = None
    if calls.is_overdue:
        every = f" (usually every {duration(calls.every.total_seconds())})" if calls.every else ""
        obstacle = _no_runner(
            f"{calls.command} has not been called since {shower(None)(calls.last)}{every}",
            "Look at what calls it, or start cron_worker or cron_run.",
            calls.last,
        )
    return Standing(
        leader=calls.command, leader_seconds=max(silent, 0.0), obstacle=obstacle, calls=calls
    )


def _no_runner(text: str, remedy: str, since: datetime | None = None) -> Obstacle:
    return Obstacle(kind=ObstacleKind.NO_RUNNER, text=text, remedy=remedy, since=since)
