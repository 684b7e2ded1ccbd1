"""Is the schedule being kept? For probes and for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError, Error
from redis.exceptions import RedisError

from .. import clock
from ..archive.restoring import RESTORING
from ..conf import conf
from ..core.cron_state import CronState
from ..core.decide import next_due
from ..core.definition import Overlap
from ..core.events import SUCCESSES, EventType
from ..core.events.keys import ERROR, ERROR_MESSAGE, ERROR_TYPE
from ..core.explain.obstacles import Obstacle
from ..core.wording import clause
from ..errors import PositionAhead, UnknownCron
from ..execution.enqueuer import Enqueuer
from ..execution.spool import REFUSED_KEY, REFUSED_MAX, spool_length, spool_refused
from ..execution.unreadable_jobs import noted
from ..followers import followers
from ..leadership.clock_skew import ClockSkew
from ..ledger import quarantine, store
from ..ledger.backend import backend_of
from ..ledger.cron_states import global_pauses, states_without_runs
from ..ledger.lookup import stored_name, told_losses
from ..models import CronEvent, CronEventQuerySet, put_back
from ..seals.progress import progress
from .clocks import Clocks, compare_clocks, compare_redis, event_of_the_future, silent_crons
from .code_in_force import code_obstacles, unknown_cron_text
from .log.late_follower import late_follower
from .log.size import LogSize, log_size
from .obstacles import REDIS_SECONDS_MAX, pause_obstacles, queue_obstacles_at, queues_needed
from .results import Limits, result_problems
from .runners import Standing, standing_by_calls, standing_by_lease
from .runs_in_rq import open_runs, out_of_reach, refused
from .seals import Seals, look_at_seals

__all__ = ["MAX_LAG_SECONDS", "Health", "health"]

MAX_LAG_SECONDS = 30.0
UNREADABLE_JOBS_TOLD_MAX = 5
DATABASE_SECONDS_MAX = 10.0
"""How long all answers of the database may take together."""
LOCK_SECONDS_MAX = 1.0
"""How long each part may wait for a row or table that somebody else holds."""
FAILURES_LOOKED_AT_MAX = 20
UNREADABLE_JOB = "DeserializationError"
"""RQ's, for a job that was written with another serializer than the worker's."""
OBSTACLES_TOLD_MAX = 10
"""Of single crons, of faults and of others."""
LOSS_TOLD = timedelta(days=1)
"""How long a loss of events is a problem."""


@dataclass(slots=True, kw_only=True)
class Health:
    """What a probe wants to know. Healthy when ``problems`` is empty."""

    problems: list[str] = field(default_factory=list)
    """One sentence for each thing that is wrong."""
    leader: str = ""
    leader_seconds: float | None = None
    """Since the leader's last heartbeat, by the database's clock."""
    slots_known: bool = True
    """False when the log has a definition that this release cannot read; then the next three say
    nothing of that cron."""
    lag_seconds: float = 0.0
    """How long the oldest undecided slot has been due."""
    oldest_undecided_cron: str = ""
    oldest_undecided_at: datetime | None = None
    spool_length: int | None = None
    """Runs whose events wait in Redis for the leader; None when a Redis does not answer."""
    clocks: Clocks = field(default_factory=Clocks)
    warnings: list[str] = field(default_factory=list)
    """What should be looked at, and keeps nothing from working."""
    projection_lag_events: dict[str, int] = field(default_factory=dict)
    """How many events each follower of the log is behind."""
    seals: Seals | None = None
    """None where the project seals nothing."""
    log: LogSize | None = None
    """How much room it takes; None where one cron was asked about."""
    cron: str = ""
    """The only one that was asked about."""
    standing: Standing = field(default_factory=Standing)
    """Who decides."""
    states: dict[str, CronState] = field(default_factory=dict)
    """Of the crons that were asked about, as far as they can be read."""

    def add(self, obstacles: Iterable[Obstacle]) -> None:
        """What keeps crons from running: a problem, or else a warning."""
        asked = self.states.get(self.cron)
        definition = asked.definition if asked else None
        queue = definition.queue if definition else ""
        counts = {True: 0, False: 0}
        for obstacle in obstacles:
            if self.cron and not obstacle.concerns(self.cron, queue):
                continue
            counts[obstacle.is_fault] += obstacle.crons is not None
            if counts[obstacle.is_fault] > OBSTACLES_TOLD_MAX and obstacle.crons is not None:
                continue
            (self.problems if obstacle.is_fault else self.warnings).append(obstacle.sentence)
        for is_fault, told in ((True, self.problems), (False, self.warnings)):
            if counts[is_fault] > OBSTACLES_TOLD_MAX:
                told.append(
                    f"{counts[is_fault] - OBSTACLES_TOLD_MAX} more crons are affected; see cron_list."
                )

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
            "clock": self.clocks.to_data(),
            "warnings": self.warnings,
            "projection_lag_events": self.projection_lag_events,
            "seals": self.seals.to_data() if self.seals else None,
            "log": self.log.to_data() if self.log else None,
        }


def health(
    max_lag_seconds: float = MAX_LAG_SECONDS,
    *,
    cron: str = "",
    max_failures: int | None = None,
    max_age: timedelta | None = None,
) -> Health:
    """Look at lease, slots, queues, results, spool and projections, in a session of its own.

    ``cron`` leaves out what concerns other crons only; ``max_failures`` and ``max_age`` are limits
    for each cron that is looked at, in place of its own.

    Answers in seconds, whatever does not answer: raises Django's database errors when that is the
    database, and UnknownCron. What somebody else holds locked is named as a problem.
    """
    found = Health(cron=stored_name(cron))
    limits = Limits(max_failures=max_failures, max_age=max_age)
    parts: dict[str, Callable[[Health], None]] = {
        "The leader": _look_at_leader,
        "The calls of cron_run --once": _look_at_calls,
        "Who decides": _tell_of_leader,
        "The clocks": _look_at_clocks,
        "The slots": partial(_look_at_slots, max_lag_seconds=max_lag_seconds),
        "What is paused": _look_at_pauses,
        "The results of runs": partial(_look_at_results, limits=limits),
        "The runs that RQ refuses": _look_at_refused_runs,
        "The runs that workers cannot read": _look_at_serializers,
        "The followers": _look_at_followers,
        "The quarantine": _look_at_quarantine,
        "The log's losses": _look_at_losses,
        "The log's size": _look_at_size,
    }
    if cron:
        for name in ("The followers", "The log's losses", "The log's size"):
            del parts[name]
    elif conf().seal_key:
        parts["The seals"] = _look_at_seals
    db = store.connection()
    with backend_of(db).bounded_session(db, DATABASE_SECONDS_MAX):
        for name, look in parts.items():
            _look(found, name, partial(_within_bounds, look))
    _look(found, "The spool", _look_at_spool)
    return found


def _look(found: Health, name: str, look: Callable[[Health], None]) -> None:
    """What is damaged or locked must not hide the rest, and is no good sign."""
    try:
        look(found)
    except UnknownCron:
        raise
    except Exception as error:
        if isinstance(error, Error):
            if not isinstance(error, DatabaseError) or not backend_of(
                store.connection()
            ).was_locked(error):
                raise
            error = TimeoutError("another transaction holds its table, or the query takes too long")
        found.problems.append(f"{name} cannot be checked: {type(error).__name__}: {clause(error)}.")


def _within_bounds(look: Callable[[Health], None], found: Health) -> None:
    db = store.connection()
    with backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, DATABASE_SECONDS_MAX):
        look(found)


def _look_at_leader(found: Health) -> None:
    found.standing = standing_by_lease()


def _look_at_calls(found: Health) -> None:
    if not found.standing.leader:
        found.standing = standing_by_calls()


def _tell_of_leader(found: Health) -> None:
    found.leader, found.leader_seconds = found.standing.leader, found.standing.leader_seconds
    found.add(filter(None, [found.standing.obstacle]))


def _look_at_clocks(found: Health) -> None:
    found.clocks = compare_clocks()
    found.problems += found.clocks.problems
    found.warnings += found.clocks.warnings


def _look_at_slots(found: Health, max_lag_seconds: float) -> None:
    found.slots_known = False  # until they are read
    states, unreadable = states_without_runs()
    found.slots_known = True
    if found.cron:
        if found.cron not in states and found.cron not in unreadable:
            raise UnknownCron(unknown_cron_text(found.cron))
        states = {name: state for name, state in states.items() if name == found.cron}
        unreadable = {name: why for name, why in unreadable.items() if name == found.cron}
    found.states = states
    for name, why in unreadable.items():
        found.slots_known = False
        found.problems.append(f"Cron {name!r} cannot be decided: {why}.")
    now = ClockSkew().database_now()
    found.problems += list(filter(None, [silent_crons(states, now) or event_of_the_future(now)]))
    for state in states.values():
        try:
            due = next_due(state)
        except Exception as error:  # a definition that cannot be read is a finding, not a crash
            found.problems.append(
                f"Cron {state.present_name!r} cannot be decided: {clause(error)}."
            )
            continue
        if due is None or due > now or _waits_for_a_run(state):
            continue
        if found.oldest_undecided_at is None or due < found.oldest_undecided_at:
            found.oldest_undecided_at, found.oldest_undecided_cron = due, state.present_name
    if found.oldest_undecided_at is not None:
        found.lag_seconds = (now - found.oldest_undecided_at).total_seconds()
    allowed = max(max_lag_seconds, found.standing.allowed_lag.total_seconds())
    if found.lag_seconds > allowed:
        found.problems.append(
            f"Cron {found.oldest_undecided_cron!r} has been due for {found.lag_seconds:.0f} s "
            f"and is not decided; the limit is {allowed:.0f} s."
        )
    found.problems += out_of_reach(states.values())


def _look_at_pauses(found: Health) -> None:
    """And at the code, which is no question to anybody."""
    found.add(pause_obstacles(found.states))
    found.add(code_obstacles(found.states))


def _look_at_results(found: Health, limits: Limits) -> None:
    problems, warnings = result_problems(
        found.states, global_pauses(), ClockSkew().database_now(), limits
    )
    found.problems += problems
    found.warnings += warnings


def _waits_for_a_run(state: CronState) -> bool:
    """With ``overlap="queue"`` the newest slot waits, and that is no lag."""
    definition = state.last_definition
    if definition is None or definition.overlap is not Overlap.QUEUE:
        return False
    return bool(open_runs(state))


def _look_at_refused_runs(found: Health) -> None:
    found.problems += refused(found.cron)


def _look_at_serializers(found: Health) -> None:
    """A worker does not tell with which serializer it reads jobs, but its failures do."""
    failed = _rows().for_cron(found.cron) if found.cron else _rows()
    failed = failed.of_type(EventType.RUN_FAILED).order_by("-occurred_at")[:FAILURES_LOOKED_AT_MAX]
    for row in failed:
        error = row.data.get(ERROR) or {}
        if str(error.get(ERROR_TYPE, "")).rpartition(".")[2] != UNREADABLE_JOB:
            continue
        later = _rows().for_cron(row.cron).of_type(*SUCCESSES)
        if not later.filter(occurred_at__gt=row.occurred_at).exists():
            [event] = put_back(conf().database, [row.fact()])
            message = clause(event.data[ERROR].get(ERROR_MESSAGE, ""))
            found.problems.append(f"Run {row.run_id} of cron {row.cron!r} failed: {message}.")
        return


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)


def _look_at_spool(found: Health) -> None:
    enqueuer = Enqueuer(REDIS_SECONDS_MAX, tries_once=True)
    found.problems += enqueuer.unusable_queues()
    waiting: list[int] = []
    redis_warnings: list[str] = []
    refused = 0
    obstacles: list[Obstacle] = []
    servers = enqueuer.servers()
    needed = queues_needed(found.states)
    for redis, connection in servers.items():
        try:
            redis_warnings = compare_redis(found.clocks, [connection])
            waiting.append(spool_length([connection]))
            refused += spool_refused([connection])
            found.problems += noted([connection])[:UNREADABLE_JOBS_TOLD_MAX]
            here = [name for name in needed if enqueuer.redis_of(name) == redis]
            obstacles += queue_obstacles_at(connection, here, enqueuer, found.standing)
        except RedisError as error:  # the others may answer
            found.problems.append(f"Redis does not answer ({redis}): {clause(error)}.")
    found.warnings += redis_warnings
    found.add(obstacles)
    if len(waiting) == len(servers):
        found.spool_length = sum(waiting)
    if found.spool_length:
        runs = f"{found.spool_length} run{'s' * (found.spool_length != 1)}"
        found.warnings.append(
            f"Events of {runs}, recorded while the database was away, are waiting in Redis; a runner "
            "will write them."
        )
    if refused:
        count = f"{refused:,}" if refused < REFUSED_MAX else f"{REFUSED_MAX:,} or more"
        found.problems.append(
            f"{count} entries of the spool in Redis were refused: no worker of this project wrote "
            f"them, or the database does not accept them. Inspect them with redis-cli LRANGE "
            f"{REFUSED_KEY} 0 9; delete that key once you know why."
        )


def _look_at_quarantine(found: Health) -> None:
    rows = quarantine.quarantined(cron=found.cron) if found.cron else None
    found.problems += quarantine.problem_texts(rows)


def _look_at_losses(found: Health) -> None:
    """For a day, so that somebody looks; the audit tells of it for ever."""
    restored = progress(RESTORING)
    if restored is not None:
        found.problems.append(
            f"The log is not whole: cron_restore was interrupted after {restored.size:,} events. Call it again with the "
            "same segments, before any runner decides."
        )
    for loss in told_losses():
        if clock.now() - loss.until < LOSS_TOLD:
            found.problems.append(f"{loss.text[0].upper()}{loss.text[1:]}. See cron_audit.")


def _look_at_seals(found: Health) -> None:
    found.seals = look_at_seals(ClockSkew().database_now())
    found.problems += found.seals.problems
    found.warnings += found.seals.warnings


def _look_at_size(found: Health) -> None:
    now = ClockSkew().database_now()
    found.log = log_size(now)
    found.problems += found.log.problems()
    found.warnings += found.log.warnings(now)


def _look_at_followers(found: Health) -> None:
    last = CronEvent.objects.using(store.connection().alias).order_by("-id").first()
    head = last.id if last else 0
    for name, follower in followers.items():
        if follower.position is None:
            continue
        position = follower.position()
        found.projection_lag_events[name] = max(head - position, 0)
        try:
            if position > head:  # or it has moved on since the head was read
                store.require_not_ahead(position)
        except PositionAhead as error:
            found.problems.append(f"Follower {name}: {error}")
            continue
        if position < head and found.standing.leader and found.standing.calls is None:
            now = clock.now() - timedelta(seconds=found.clocks.database_skew_seconds)
            found.warnings += late_follower(name, position, head - position, now)
        found.problems += follower.problems() if follower.problems is not None else ()
