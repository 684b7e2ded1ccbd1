"""Taking back runs that wait: the log says who and why, and no worker starts them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from redis.exceptions import RedisError

from .. import clock
from ..archive.reading import archived_events_of_run
from ..conf import conf
from ..core.events import Event, make
from ..core.run_state import STATUS_OF_OUTCOME, RunState
from ..core.wording import clause
from ..errors import NotWaiting, UnknownRun, VersionConflict
from ..execution.enqueuer import Enqueuer
from ..execution.waiting_jobs.take_out import take_out
from ..ledger import store
from ..ledger.cron_states import States
from ..ledger.lookup import find_run
from ..ledger.run_streams import append_to_run, read_run, read_runs, request_of
from ..process.actor import actor_name
from .controls import bounded_reason, known_state

__all__ = ["Cancelled", "cancel_queued", "cancel_run"]

log = logging.getLogger(__name__)

RUNS_PER_STEP = 500
REDIS_SECONDS_MAX = 5.0


@dataclass(slots=True)
class Cancelled:
    """What became of a cron's waiting runs."""

    cancelled: list[UUID] = field(default_factory=list)
    begun: list[UUID] = field(default_factory=list)
    """A worker was first: they are being executed, and are left alone."""
    unreadable: list[UUID] = field(default_factory=list)
    """An event of them cannot be read, so they may have ended: left alone."""


def cancel_run(run_id: UUID | str, *, reason: str = "", by: str | None = None) -> UUID:
    """Cancel a run that waits: in its queue, for Redis, or for its next attempt. Returns its id.

    It ends as ``cancelled``, nothing enqueues it again, and a worker that takes its job all the same
    refuses to start it. Raises UnknownRun, and NotWaiting when it has begun or ended.
    """
    asked, actor, why = find_run(run_id), actor_name(by), bounded_reason(reason)
    known = request_of(asked)
    if known is None and (old := archived_events_of_run(asked)):
        raise NotWaiting(f"Run {asked} of {old[0].cron!r} has ended: its events are archived.")
    if known is None:
        raise UnknownRun(
            f"Run {run_id} is not known. cron_history NAME lists the runs of a cron with their ids."
        )
    cron, slot = known

    def build(state: RunState) -> list[Event]:
        state.cron, state.slot = cron, slot
        if not _waits(state):
            raise NotWaiting(f"Run {asked} of {cron!r} {_why_not(state)}")
        return [_cancelled(state, actor, why)]

    append_to_run(read_run(asked), build)
    _take_out_at_commit([asked])
    return asked


def cancel_queued(name: str, *, reason: str = "", by: str | None = None) -> Cancelled:
    """Cancel every run of a cron that waits, as :func:`cancel_run` does.

    Slots that come due later fire as ever; ``pause`` stops those. Raises UnknownCron.
    """
    name = known_state(name).name
    actor, why = actor_name(by), bounded_reason(reason)
    state = States.load().crons.get(name)
    slots = {run.run_id: run.slot for run in state.open_runs.values()} if state else {}
    done = Cancelled()
    waiting = list(slots)
    for start in range(0, len(waiting), RUNS_PER_STEP):
        left = waiting[start : start + RUNS_PER_STEP]
        for _ in range(store.TRIES_MAX):
            states = read_runs(left)
            done.unreadable += [run_id for run_id in left if run_id not in states]
            done.begun += [run_id for run_id in states if states[run_id].running]
            batches = []
            for run_id, run in states.items():
                run.cron, run.slot = name, slots[run_id]
                if _waits(run):
                    batches.append([_cancelled(run, actor, why)])
            result = store.append_batches(batches, durable=False)
            done.cancelled += _runs(result.accepted)
            done.unreadable += _runs(unfit.batch for unfit in result.unfit)
            left = list(_runs(result.refused))  # a worker or a runner was first: look again
            if not left:
                break
        else:
            raise VersionConflict(result.refused[0][0].stream, result.refused[0][0].version)
    _take_out_at_commit(done.cancelled)
    return done


def _waits(state: RunState) -> bool:
    return state.outcome is None and not state.running


def _why_not(state: RunState) -> str:
    if state.outcome is None:
        return (
            f"is not cancelled: {state.worker} began attempt {state.attempt} at {state.started_at:%H:%M:%S} "
            "UTC. To end what it does, stop its job in RQ."
        )
    return f"is not cancelled: it has ended ({STATUS_OF_OUTCOME[state.outcome]})."


def _cancelled(state: RunState, actor: str, why: str) -> Event:
    return make.run_cancelled(
        cron=state.cron,
        run_id=state.run_id,
        version=state.version + 1,
        slot=state.slot,
        attempt=state.attempt or None,
        reason=why,
        actor=actor,
        at=clock.now(),
    )


def _runs(batches: Iterable[list[Event]]) -> Iterator[UUID]:
    for (event,) in batches:
        assert event.run_id is not None
        yield event.run_id


def _take_out_at_commit(run_ids: Sequence[UUID]) -> None:
    if run_ids:
        transaction.on_commit(lambda: _take_out(run_ids), using=conf().database)


def _take_out(run_ids: Sequence[UUID]) -> None:
    """Their jobs, so that they do not stand in RQ's lists. What cannot be reached stays there, and
    workers refuse it."""
    for redis, connection in Enqueuer(REDIS_SECONDS_MAX).servers().items():
        try:
            take_out(connection, run_ids)
        except RedisError as error:
            log.warning(
                "Redis (%s) does not answer (%s): jobs of cancelled runs may stay there. Workers do not "
                "start them.",
                redis,
                clause(error),
                extra={"action": "redis_away", "redis": redis},
            )
