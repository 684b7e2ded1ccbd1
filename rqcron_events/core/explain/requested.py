"""The story of a run that no slot asked for: a person did, or RQ was told to do a run again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ..cron_state import CronState
from ..events import Event
from ..wording import shower
from . import sentences
from .evidence import phase_at, version_start
from .explanation import Explanation, Verdict
from .obstacles import Obstacle
from .run import run_summary, steps

__all__ = ["explain_requested"]


def explain_requested(
    run_id: UUID,
    run_events: Sequence[Event],
    state: CronState,
    obstacles: Sequence[Obstacle] = (),
) -> Explanation:
    """``run_events`` are the run's, its request first; ``state`` is its cron's; ``obstacles`` keep it
    from going on."""
    request = run_events[0]
    run = run_summary(run_id, run_events)
    phase = phase_at(state, request.occurred_at)
    definition = phase.definition if phase else None
    return Explanation(
        cron=state.present_name,
        at=request.occurred_at,
        verdict=Verdict.FIRED,
        reason=run.reason,
        summary=sentences.asked_for(request, run, run_events, shower(definition), obstacles),
        slot=request.scheduled_for,
        run=run,
        steps=steps(request, run_events),
        definition=definition,
        definition_version=phase.definition_version if phase else None,
        effective_from=version_start(state, phase),
        obstacles=obstacles,
        events=run_events,
    )
