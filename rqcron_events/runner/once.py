"""Doing what is due now, and no more: ``cron_run --once``."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..leadership.clock_skew import check_clock
from .follower_thread import follow_all
from .runner import Runner

__all__ = ["Once", "once"]


@dataclass(slots=True)
class Once:
    """What was done."""

    decided: int = 0
    """Runs of slots that fired."""
    waiting: int = 0
    """Runs that are not in Redis, because it did not answer; enqueued the next time."""
    refused: list[str] = field(default_factory=list)
    """One sentence for each cron of which RQ takes no job now; tried again the next time."""


def once() -> Once:
    """Register, decide and enqueue what is due now.

    It does not wait for the lease: stream versions make it harmless beside a leader.
    Raises ClockSkewed where this machine's clock is not to be decided by.
    """
    check_clock()
    runner = Runner()
    done = Once()
    for requests in runner.decide_due():
        done.decided += len(requests)
        runner.enqueue(requests)
    runner.reconcile_all()
    runner.save_snapshot_if_free()
    follow_all()
    done.waiting = sum(
        run.enqueued_at is None and not run.refused
        for state in runner.states.crons.values()
        for run in state.open_runs.values()
    )
    done.refused = runner.rq.enqueuer.refused
    return done
