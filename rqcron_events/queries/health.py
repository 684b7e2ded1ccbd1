"""Is the schedule being kept? For probes and for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError

from .. import clock
from ..conf import conf
from ..core.codec import NewerEvent
from ..core.cron_state import CronState
from ..core.decide import next_due
from ..core.definition import Overlap
from ..core.wording import clause
from ..execution.enqueuer import Enqueuer
from ..execution.spool import spool_length
from ..followers import followers
from ..leadership.lease import LEADER, seconds_since_renewal
from ..ledger import store
from ..ledger.cron_states import States
from ..models import CronEvent

__all__ = ["MAX_LAG_SECONDS", "Health", "health"]

MAX_LAG_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Health:
    """What a probe wants to know. Healthy when ``problems`` is empty."""

    problems: list[str] = field(default_factory=list)
    """One sentence for each thing that is wrong."""
    leader: str = ""
    leader_seconds: float | None = None
    """Since the leader's last heartbeat, by the database's clock."""
    slots_known: bool = True
    """False when the log has an event that this release cannot read; then the next three say
    nothing."""
    lag_seconds: float = 0.0
    """How long the oldest undecided slot has been due."""
    oldest_undecided_cron: str = ""
    oldest_undecided_at: datetime | None = None
    spool_length: int | None = None
    """Runs whose events wait in Redis for the leader; None when Redis does not answer."""
    projection_lag_events: dict[str, int] = field(default_factory=dict)
    """How many events each follower of the log is behind."""

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_data(self) -> dict[str, Any]:
        at = self.oldest_undecided_at
        return {
            "ok": self.ok,
            "problems": self.problems,
            "leader": self.leader,
            "leader_seconds": self.leader_seconds,
            "lag_seconds": round(self.lag_seconds, 3) if self.slots_known else None,
            "oldest_undecided_cron": self.oldest_undecided_cron,
            "oldest_undecided_at": at.isoformat() if at else None,
            "spool_length": self.spool_length,
            "projection_lag_events": self.projection_lag_events,
        }


def health(max_lag_seconds: float = MAX_LAG_SECONDS) -> Health:
    """Look at lease, slots, spool and projections. Raises Django's database errors."""
    found = Health()
    _look_at_leader(found)
    _look_at_slots(found, max_lag_seconds)
    _look_at_spool(found)
    _look_at_followers(found)
    return found


def _look_at_leader(found: Health) -> None:
    found.leader, found.leader_seconds = seconds_since_renewal(LEADER)
    if not found.leader:
        found.problems.append("No runner leads. Start cron_worker or cron_run.")
    elif found.leader_seconds is not None and found.leader_seconds > conf().lease_seconds:
        found.problems.append(
            f"The leader {found.leader} has been silent for {found.leader_seconds:.0f} s. "
            "Start cron_worker or cron_run."
        )


def _look_at_slots(found: Health, max_lag_seconds: float) -> None:
    try:
        states = States.load()
    except NewerEvent as error:  # as after a rollback: no runner of this release decides, either
        found.slots_known = False
        found.problems.append(f"The log cannot be read, so nothing is decided: {error}")
        return
    now = clock.now()
    for state in states.crons.values():
        try:
            due = next_due(state)
        except Exception as error:  # a definition that cannot be read is a finding, not a crash
            found.problems.append(f"Cron {state.name!r} cannot be decided: {clause(error)}.")
            continue
        if due is None or due > now or _waits_for_a_run(state):
            continue
        if found.oldest_undecided_at is None or due < found.oldest_undecided_at:
            found.oldest_undecided_at, found.oldest_undecided_cron = due, state.name
    if found.oldest_undecided_at is not None:
        found.lag_seconds = (now - found.oldest_undecided_at).total_seconds()
    if found.lag_seconds > max_lag_seconds:
        found.problems.append(
            f"Cron {found.oldest_undecided_cron!r} has been due for {found.lag_seconds:.0f} s and "
            f"is not decided; {max_lag_seconds:.0f} s are allowed."
        )


def _waits_for_a_run(state: CronState) -> bool:
    """With ``overlap="queue"`` the newest slot waits, and that is no lag."""
    definition = state.last_definition
    queued = definition is not None and definition.overlap is Overlap.QUEUE
    return queued and bool(state.open_runs)


def _look_at_spool(found: Health) -> None:
    try:
        found.spool_length = spool_length(Enqueuer().connections())
    except RedisError as error:
        found.problems.append(f"Redis does not answer: {clause(error)}.")


def _look_at_followers(found: Health) -> None:
    last = CronEvent.objects.using(store.connection().alias).order_by("-id").first()
    head = last.id if last else 0
    for name, follower in followers.items():
        if follower.position is not None:
            found.projection_lag_events[name] = max(head - follower.position(), 0)
