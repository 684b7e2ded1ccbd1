"""Why a cron did or did not fire at an instant: one function per verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..downtime import Downtime, DowntimeCause
from ..events import Event, EventType, keys
from . import sentences
from .evidence import Evidence, version_start
from .explanation import Explanation, Verdict
from .mismatch import mismatches
from .run import run_summary, steps

__all__ = ["explain_slot", "explain_unknown"]


def explain_slot(found: Evidence) -> Explanation:
    """Judge one instant of a known cron."""
    decision = found.decision
    if decision is not None:
        fired = decision.type is EventType.SLOT_FIRED and decision.run_id is not None
        return _fired(found, decision) if fired else _passed_over(found, decision)
    if not found.is_registered:
        return _not_registered(found)
    if found.unreadable:
        return _unreadable(found)
    return _pending(found) if found.is_slot else _not_a_slot(found)


def explain_unknown(name: str, at: datetime, summary: str) -> Explanation:
    """Of a cron that was never registered; ``summary`` says so, and what to do."""
    return Explanation(
        cron=name,
        at=at,
        verdict=Verdict.UNKNOWN_CRON,
        reason="unknown_cron",
        summary=summary,
    )


def _fired(found: Evidence, decision: Event) -> Explanation:
    assert decision.run_id is not None
    run = run_summary(decision.run_id, found.run_events)
    lateness_seconds = decision.data.get(keys.LATENESS_SECONDS)
    return _answer(
        found,
        Verdict.FIRED,
        reason=run.reason,
        summary=sentences.fired(found, run, lateness_seconds),
        events=[decision, *found.run_events, *found.runner_events],
        slot=found.at,
        lateness_seconds=lateness_seconds,
        downtime=_outage(found.downtime),
        run=run,
        steps=steps(decision, found.run_events),
    )


def _passed_over(found: Evidence, decision: Event) -> Explanation:
    """Skipped or missed."""
    missed = decision.type is not EventType.SLOT_SKIPPED
    others = [event for event in (found.resumed, found.instead) if event is not None]
    return _answer(
        found,
        Verdict.MISSED if missed else Verdict.SKIPPED,
        reason=decision.reason,
        summary=sentences.passed_over(found, decision),
        events=[decision, *found.run_events, *others, *found.runner_events],
        slot=found.at,
        lateness_seconds=(decision.occurred_at - found.at).total_seconds() if missed else None,
        downtime=_outage(found.downtime),
    )


def _pending(found: Evidence) -> Explanation:
    reason, summary = _why_pending(found)
    return _answer(
        found,
        Verdict.PENDING,
        reason=reason,
        summary=summary,
        events=[*found.run_events, *found.runner_events],
        slot=found.at,
        downtime=_outage(found.downtime),
    )


def _why_pending(found: Evidence) -> tuple[str, str]:
    """Reason and summary."""
    if found.at > found.now:
        ahead = found.pause_ahead
        if ahead is None:
            return "future", sentences.future(found)
        return ahead[0], sentences.paused_ahead(found, *ahead)
    if found.is_unaccounted:
        return "unaccounted", sentences.unaccounted(found)
    if found.jitter_ahead is not None or found.waits_for is not None:
        return "waiting", sentences.waiting(found)
    return "undecided", sentences.undecided(found)


def _not_a_slot(found: Evidence) -> Explanation:
    assert found.definition is not None
    wrong = mismatches(found.definition, found.at)
    return _answer(
        found,
        Verdict.NOT_A_SLOT,
        reason="not_a_slot",
        summary=sentences.not_a_slot(found, wrong),
        events=[],
        mismatch=wrong,
    )


def _unreadable(found: Evidence) -> Explanation:
    """Only the log can tell, and it has no decision that covers the instant."""
    watermark = found.state.watermark
    passed = watermark is not None and found.at <= watermark
    return _answer(
        found,
        Verdict.NOT_A_SLOT if passed else Verdict.PENDING,
        reason="unreadable",
        summary=sentences.unreadable(found, passed=passed),
        events=found.run_events,
    )


def _not_registered(found: Evidence) -> Explanation:
    """Not yet, or not any more: there is no definition to tell of."""
    before, after = found.slots_around
    events = found.definition_events[:1] if found.phase is None else found.definition_in_force()
    return Explanation(
        cron=found.name,
        at=found.at,
        verdict=Verdict.NOT_REGISTERED,
        reason="not_registered",
        summary=sentences.not_registered(found),
        previous_slot=before,
        next_slot=after,
        requests=found.further_runs,
        events=_in_order([*events, *found.requests]),
    )


def _answer(
    found: Evidence,
    verdict: Verdict,
    *,
    reason: str,
    summary: str,
    events: Iterable[Event],
    **more: Any,
) -> Explanation:
    """What all verdicts on a registered cron have in common, and ``more``."""
    before, after = found.slots_around
    in_force = [*found.definition_in_force(), *found.pause_of_all_in_force()]
    return Explanation(
        cron=found.name,
        at=found.at,
        verdict=verdict,
        reason=reason,
        summary=summary,
        definition=found.definition,
        definition_version=found.phase.definition_version if found.phase else None,
        effective_from=version_start(found.state, found.phase),
        obstacles=found.obstacles,
        previous_slot=before,
        next_slot=after,
        clock_change=found.clock_change,
        requests=found.further_runs,
        events=_in_order([*in_force, *found.requests, *events]),
        **more,
    )


def _outage(downtime: Downtime | None) -> Downtime | None:
    """The time between two calls of ``cron_run --once`` is none."""
    between_calls = downtime is not None and downtime.cause is DowntimeCause.BETWEEN_CALLS
    return None if between_calls else downtime


def _in_order(events: Iterable[Event]) -> list[Event]:
    """As in the log, each once."""
    return sorted({event.id: event for event in events}.values(), key=_by_id)


def _by_id(event: Event) -> int:
    return event.id or 0
