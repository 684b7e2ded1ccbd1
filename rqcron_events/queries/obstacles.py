"""What keeps crons from running now: who decides, what is paused, the code, and who serves the queues.

``cron_health``, ``cron_list``, ``cron_explain`` and ``cron_reconcile`` all ask here, so they agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError

from .. import clock
from ..core.cron_state import CronState
from ..core.decide import next_due
from ..core.events import EventType
from ..core.explain.evidence import Evidence
from ..core.explain.obstacles import Obstacle, ObstacleKind, concerning
from ..core.explain.run import RunSummary, run_summary
from ..core.run_state import RunStatus
from ..core.wording import clause, disabled_words, duration, pause_words, shower
from ..execution.enqueuer import Enqueuer
from ..execution.queue_service import QueueService, services
from ..ledger.cron_states import global_pauses, states_without_runs
from .clocks import clock_obstacles
from .code_in_force import code_obstacles
from .runners import Standing, runner_standing

__all__ = [
    "REDIS_SECONDS_MAX",
    "all_paused_obstacles",
    "obstacles",
    "obstacles_of_run",
    "obstacles_of_slot",
    "pause_obstacles",
    "queue_obstacles",
    "queue_obstacles_at",
    "queues_needed",
]

REDIS_SECONDS_MAX = 3.0
"""How long one answer of Redis may take: nobody's question may hang with it."""
RETRY_GRACE_SECONDS = 10
"""The leader brings back what is due every five seconds, RQ's scheduler every second."""
SCHEDULER_GRACE_SECONDS = 75
"""Where RQ's scheduler seems to run: its lock outlives it by a minute."""


def obstacles(states: Mapping[str, CronState] | None = None) -> list[Obstacle]:
    """All of them. Raises Django's database errors; a Redis that does not answer is one of them."""
    unreadable: dict[str, str] = {}
    if states is None:
        known, unreadable = states_without_runs()
    else:
        known = dict(states)
    standing = runner_standing()
    found = [standing.obstacle] if standing.obstacle else []
    found += clock_obstacles()
    found += _undecidable(known, unreadable)
    found += pause_obstacles(known)
    found += code_obstacles(known)
    found += queue_obstacles(known, standing)
    return found


def _undecidable(
    states: Mapping[str, CronState], unreadable: Mapping[str, str]
) -> Iterator[Obstacle]:
    told = dict(unreadable)
    for name, state in states.items():
        try:
            next_due(state)
        except Exception as error:  # a definition that cannot be read is a finding, not a crash
            told[name] = clause(error)
    for name, why in told.items():
        yield Obstacle(
            kind=ObstacleKind.UNREADABLE,
            text=f"{name!r} cannot be decided: {clause(why)}",
            crons=frozenset({name}),
        )


def pause_obstacles(states: Mapping[str, CronState]) -> Iterator[Obstacle]:
    """What people stopped, and what the deployed code disables."""
    now = clock.now()
    yield from all_paused_obstacles()
    for name, state in states.items():
        phase = state.current
        disabled = phase.disabled if phase else None
        if disabled is not None:
            yield Obstacle(
                kind=ObstacleKind.DISABLED,
                text=f"{state.present_name!r} is {disabled_words(disabled.reason, disabled.since, shower(None))}",
                since=disabled.since,
                crons=frozenset({name}),
                is_fault=False,
            )
        own = phase.pause if phase and phase.definition else None
        if own is not None and own.is_in_force(now):
            yield Obstacle(
                kind=ObstacleKind.PAUSED,
                text=f"{state.present_name!r} is {pause_words(own, shower(None))}",
                since=own.since,
                crons=frozenset({name}),
                is_fault=False,
                pause=own,
            )


def all_paused_obstacles() -> Iterator[Obstacle]:
    """The pause of everything, where one is in force."""
    pause = global_pauses().in_force(clock.now())
    if pause is not None:
        text = f"all crons are {pause_words(pause, shower(None))}"
        kind = ObstacleKind.ALL_PAUSED
        yield Obstacle(kind=kind, text=text, since=pause.since, is_fault=False, pause=pause)


def queue_obstacles(states: Mapping[str, CronState], standing: Standing) -> Iterator[Obstacle]:
    """What RQ's own records say about the queues that crons need: workers, retries, schedulers."""
    enqueuer = Enqueuer(REDIS_SECONDS_MAX, tries_once=True)
    needed = queues_needed(states)
    for redis, connection in enqueuer.servers().items():
        here = [name for name in needed if enqueuer.redis_of(name) == redis]
        if not here:
            continue
        try:
            yield from queue_obstacles_at(connection, here, enqueuer, standing)
        except RedisError as error:  # the others may answer
            for name in here:
                yield Obstacle(
                    kind=ObstacleKind.REDIS_AWAY,
                    text=f"Redis does not answer ({redis}): {clause(error)}",
                    queue=name,
                )


def queues_needed(states: Mapping[str, CronState]) -> list[str]:
    """Of the crons that are not retired."""
    defined = (state.definition for state in states.values())
    return sorted({definition.queue for definition in defined if definition is not None})


def queue_obstacles_at(
    connection: Redis, names: Sequence[str], enqueuer: Enqueuer, standing: Standing
) -> Iterator[Obstacle]:
    """The same for queues of one Redis. Raises redis-py's errors."""
    queues = [enqueuer.queue(name) for name in names]
    # A queue with ASYNC=False runs its jobs where they are enqueued.
    for service in services(connection, [queue for queue in queues if queue.is_async]):
        yield from _of_queue(service, standing)


def _of_queue(service: QueueService, standing: Standing) -> Iterator[Obstacle]:
    queue = service.queue
    if service.suspended:
        yield Obstacle(
            kind=ObstacleKind.SUSPENDED,
            text=f"the workers of queue {queue!r} are suspended",
            remedy="Run rq resume to start them again.",
            queue=queue,
        )
    if not service.workers and not _waits_for_a_burst(service, standing):
        yield _no_worker(service)
    for dead in service.dead if service.workers else ():
        yield Obstacle(
            kind=ObstacleKind.WORKER_DIED,
            text=f"worker {dead.name} of queue {queue!r} fell silent, last heartbeat at "
            f"{shower(None)(dead.last_heartbeat)}; other workers serve the queue",
            since=dead.last_heartbeat,
            queue=queue,
            is_fault=False,
            workers=frozenset({dead.name}),
        )
    yield from _retries(service, standing)


def _no_worker(service: QueueService) -> Obstacle:
    show = shower(None)
    heard = [dead.last_heartbeat for dead in service.dead if dead.last_heartbeat]
    since = max(heard, default=service.oldest_waiting_at)
    text = f"no worker serves queue {service.queue!r}"
    if service.dead:
        newest = max(service.dead, key=lambda dead: str(dead.last_heartbeat or ""))
        text += f": worker {newest.name} died"
        text += f", last heartbeat at {show(since)}" if heard else ""
    elif since is not None:
        text += f" since {show(since)} or earlier"
    if service.waiting:
        jobs = f"{service.waiting} job{'s' * (service.waiting != 1)}"
        text += f", and {jobs} {'is' if service.waiting == 1 else 'are'} waiting"
    return Obstacle(
        kind=ObstacleKind.NO_WORKER,
        text=text,
        remedy=f"Start cron_worker {service.queue}.",
        since=since,
        queue=service.queue,
        workers=frozenset(dead.name for dead in service.dead),
    )


def _waits_for_a_burst(service: QueueService, standing: Standing) -> bool:
    """Where workers empty the queues and end, a job may wait for the next of them."""
    if not standing.works_in_bursts or standing.obstacle is not None or service.dead:
        return False
    oldest = service.oldest_waiting_at
    return oldest is None or service.now - oldest <= standing.allowed_lag


def _retries(service: QueueService, standing: Standing) -> Iterator[Obstacle]:
    """Retries that are overdue, or that nobody will bring back: neither RQ's scheduler nor a runner."""
    nobody = not service.has_scheduler and standing.obstacle is not None
    grace = SCHEDULER_GRACE_SECONDS if service.has_scheduler else RETRY_GRACE_SECONDS
    latest = service.now - timedelta(seconds=grace)
    stuck = {run_id: due for run_id, due in service.scheduled.items() if nobody or due <= latest}
    if not stuck:
        return
    since = min(stuck.values())
    text = retry_text(since, service.now, service.queue, has_scheduler=service.has_scheduler)
    more = f"; {len(stuck) - 1} more are waiting" if len(stuck) > 1 else ""
    yield Obstacle(
        kind=ObstacleKind.NO_SCHEDULER,
        text=f"a {text}{more}",
        remedy="Start cron_worker, or rqworker --with-scheduler.",
        since=since,
        queue=service.queue,
        retries={
            run_id: retry_text(due, service.now, service.queue, has_scheduler=service.has_scheduler)
            for run_id, due in stuck.items()
        },
    )


def retry_text(due: datetime, now: datetime, queue: str, *, has_scheduler: bool) -> str:
    """Without its article."""
    seconds = (now - due).total_seconds()
    when = (
        f"was due {duration(int(seconds))} ago" if seconds > 0 else f"is due at {shower(None)(due)}"
    )
    if has_scheduler:
        return f"retry {when}, and the scheduler of queue {queue!r} has not enqueued it"
    return f"retry {when}, and no scheduler serves queue {queue!r}"


def obstacles_of_slot(found: Evidence) -> list[Obstacle]:
    """Only where something is still to happen: Redis is not asked about the past."""
    if found.decision is not None:
        if found.decision.type is not EventType.SLOT_FIRED or found.decision.run_id is None:
            return []
        return obstacles_of_run(found.state, run_summary(found.decision.run_id, found.run_events))
    if not found.is_registered or not found.is_slot or found.is_unaccounted:
        return []
    return _of_kinds(found.state, _SLOT_KINDS)


def obstacles_of_run(state: CronState, run: RunSummary) -> list[Obstacle]:
    """What keeps an open run from going on."""
    kinds = _RUN_KINDS.get(run.status)
    found = _of_kinds(state, kinds) if kinds else []
    told: list[Obstacle] = []
    for obstacle in found:
        if obstacle.kind is ObstacleKind.NO_SCHEDULER:
            if run.id in obstacle.retries:
                told.append(replace(obstacle, text=f"the {obstacle.retries[run.id]}"))
        elif run.status is not RunStatus.RUNNING or run.worker in map(
            "worker/{}".format, obstacle.workers
        ):
            told.append(obstacle)
    return told


def _of_kinds(state: CronState, kinds: frozenset[ObstacleKind]) -> list[Obstacle]:
    definition = state.last_definition
    if definition is None:
        return []
    found = concerning(obstacles({state.name: state}), state.name, definition.queue)
    return [obstacle for obstacle in found if obstacle.kind in kinds]


_IN_QUEUE = {ObstacleKind.REDIS_AWAY, ObstacleKind.NO_WORKER, ObstacleKind.SUSPENDED}
_CODE = {ObstacleKind.CODE_DIFFERS, ObstacleKind.CODE_BROKEN}
_DECIDING = {ObstacleKind.NO_RUNNER, ObstacleKind.CLOCK_SKEWED}
_SLOT_KINDS = frozenset({*_DECIDING, *_IN_QUEUE, *_CODE})
_RUN_KINDS = {
    RunStatus.REQUESTED: frozenset({ObstacleKind.NO_RUNNER, *_IN_QUEUE}),
    RunStatus.ENQUEUED: frozenset(_IN_QUEUE),
    RunStatus.RETRYING: frozenset({ObstacleKind.NO_SCHEDULER, *_IN_QUEUE}),
    RunStatus.RUNNING: frozenset({ObstacleKind.NO_WORKER, ObstacleKind.WORKER_DIED}),
}
