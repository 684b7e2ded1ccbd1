"""Doing what is due now, and no more: ``cron_run --once``."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import clock
from ..leadership.calls import CALL
from ..leadership.clock_skew import check_clock
from .following.steps import flush_all, follow_all
from .runner import Runner

__all__ = ["Once", "once"]


@dataclass(slots=True)
class Once:
    """What was done."""

    decided: int = 0
    """Runs of slots that fired."""
    waiting: int = 0
    """Runs that are not in Redis, because it does not answer; enqueued the next time."""
    unsure: int = 0
    """Runs that are not known to be in Redis, which answers: the next time looks again."""
    refused: list[str] = field(default_factory=list)
    """One sentence for each cron of which RQ takes no job now; tried again the next time."""


def once(command: str = CALL) -> Once:
    """Register, decide and enqueue what is due now; ``command`` is what calls it.

    It does not wait for the lease: stream versions make it harmless beside a leader.
    Raises ClockSkewed where this machine's clock is not to be decided by.
    """
    check_clock()
    runner, started_at = Runner(), clock.now()
    done = Once()
    for requests in runner.decide_due():
        done.decided += len(requests)
        runner.enqueue(requests)
    runner.reconcile_all()
    runner.called(command, started_at)
    runner.save_snapshot_if_free()
    follow_all()
    flush_all()
    away = runner.rq.reconciler.away
    for state in runner.states.crons.values():
        definition = state.last_definition
        queue = definition.queue if definition else ""
        missing = sum(
            run.enqueued_at is None
            and not run.attempt
            and not run.refused
            and run.is_due(clock.now())
            for run in state.open_runs.values()
        )
        if missing and runner.rq.enqueuer.redis_of(queue) in away:
            done.waiting += missing
        else:
            done.unsure += missing
    done.refused = runner.rq.enqueuer.refused
    return done
