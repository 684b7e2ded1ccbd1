"""All that ``explain`` says to people, in whole sentences.

The public functions give summaries and, for runs, the clauses that these are made of. A clause has
no capital letter and no full stop; only ``_sentence`` and ``_paragraph`` set what stands between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never

from ..downtime import Downtime, DowntimeCause
from ..events import Event, EventType, Reason, keys
from ..interventions.pauses import Pause
from ..wording import Show, because, clause, disabled_words, duration, late, shown
from .evidence import Evidence, Waited
from .mismatch import Mismatch
from .obstacles import Obstacle, ObstacleKind, as_things_stand
from .run import Request, RunSummary
from .run_sentences import arguments, refused_starts, run_clause, to_begin

__all__ = [
    "asked_for",
    "fired",
    "further_runs",
    "future",
    "not_a_slot",
    "not_registered",
    "passed_over",
    "paused_ahead",
    "refused_starts",
    "run_clause",
    "unaccounted",
    "undecided",
    "unreadable",
    "waiting",
]

REQUESTS_NAMED_MAX = 3


# Decided


def fired(found: Evidence, run: RunSummary, lateness_seconds: float | None) -> str:
    slot = f"{found.show(found.at)}{because(found.clock_change)}"
    punctual = f"{late(lateness_seconds)}{because(_downtime(found.downtime, found.show))}"
    return _paragraph(
        _sentence(
            f"{found.name} fired for {slot}, {punctual}",
            _waited(found.waited, found.show),
            run_clause(run, found.show),
        ),
        as_things_stand(found.obstacles),
        refused_starts(found.run_events),
        _why_unreadable(found),
        further_runs(found.further_runs, found.show),
    )


def passed_over(found: Evidence, decision: Event) -> str:
    """Of a slot that was skipped or missed."""
    verb = "was skipped at" if decision.type is EventType.SLOT_SKIPPED else "missed"
    slot = f"{found.show(found.at)}{because(found.clock_change)}"
    count = decision.data.get(keys.COUNT, 1)
    many = f"one of {count} slots in a row" if count > 1 else ""
    return _paragraph(
        _sentence(
            f"{found.name} {verb} {slot}: {_why(found, decision)}{because(many)}",
            _waited(found.waited, found.show),
            _resumed(found.resumed, found.show),
            _downtime(found.downtime, found.show),
        ),
        _why_unreadable(found),
        further_runs(found.further_runs, found.show),
    )


def _why(found: Evidence, decision: Event) -> str:
    """Each reason in full, as far as the decision has the evidence for it."""
    evidence = decision.data.get(keys.EVIDENCE, {})
    match decision.reason:
        case Reason.OVERLAP if evidence.get(keys.EVIDENCE_RUN_ID):
            return _active_run(evidence, found.show)
        case Reason.OVERLAP:
            return "an earlier run had not ended"
        case Reason.PAUSED:
            return f"it was {_paused(evidence, found.show)}"
        case Reason.ALL_PAUSED:
            return f"all crons were {_paused(evidence, found.show)}"
        case Reason.DISABLED:
            since = datetime.fromisoformat(evidence[keys.PAUSE_SINCE])
            return f"it was {disabled_words(evidence[keys.PAUSE_REASON], since, found.show)}"
        case Reason.TOO_LATE:
            lateness = duration((decision.occurred_at - found.at).total_seconds())
            bound = evidence.get(keys.EVIDENCE_MAX_LATENESS_SECONDS)
            more = f", more than the {duration(bound)} allowed" if bound is not None else ""
            return f"it was decided {lateness} late{more}"
        case Reason.SUPERSEDED if found.instead is not None:
            run_id = found.instead.run_id
            as_run = f", as run {_short(run_id)}" if run_id else ""
            return f"the later slot {found.show(found.instead.scheduled_for)} ran instead{as_run}"
        case Reason.SUPERSEDED:
            return "a later slot of the same catch-up ran instead"
        case Reason.DECISION_LOST:
            return "its decision was lost when the log went back, and no trace of a run is left"
        case Reason.RETIRED:
            return "the cron was removed from the code before any runner decided it"
        case other:
            return other


def _active_run(evidence: Mapping[str, Any], show: Show) -> str:
    slot, since = evidence.get(keys.EVIDENCE_SLOT), evidence.get(keys.EVIDENCE_STARTED_AT)
    of_slot = f" for {show(datetime.fromisoformat(slot))}" if slot else ""
    run = f"run {_short(evidence[keys.EVIDENCE_RUN_ID])}{of_slot}"
    if refused := evidence.get(keys.EVIDENCE_REFUSED_RUNS):
        return (
            f"RQ refuses its jobs, and {refused} of its runs are waiting to be accepted, the newest "
            f"being {run}"
        )
    if not since:
        return f"{run} had not ended"
    worker = evidence.get(keys.EVIDENCE_WORKER)
    return f"{run} had been running since {show(datetime.fromisoformat(since))} on {worker}"


def _paused(evidence: Mapping[str, Any], show: Show) -> str:
    return f"paused {_pause_by(evidence, show)}"


def _pause_by(evidence: Mapping[str, Any], show: Show) -> str:
    """Whose pause it is, since when, until when and why."""
    since, until = evidence[keys.PAUSE_SINCE], evidence.get(keys.PAUSE_UNTIL)
    return (
        f"by {_who(evidence.get(keys.PAUSE_ACTOR))} at {show(datetime.fromisoformat(since))}"
        f"{_until(datetime.fromisoformat(until) if until else None, show)}"
        f"{because(evidence.get(keys.PAUSE_REASON, ''))}{_replaced(evidence.get(keys.PAUSE_REPLACED), show)}"
    )


def _replaced(before: Mapping[str, Any] | None, show: Show) -> str:
    """Whose pause the one in force ended; both stay known."""
    return f", replacing the pause {_pause_by(before, show)}" if before else ""


def _resumed(event: Event | None, show: Show) -> str:
    if event is None:
        return ""
    what = "it" if event.type is EventType.CRON_RESUMED else "them"
    return f"{_who(event.actor)} resumed {what} at {show(event.occurred_at)}{because(event.reason)}"


def _waited(waited: Waited | None, show: Show) -> str:
    if waited is None:
        return ""
    run, until = _short(waited.run_id), show(waited.until)
    return f"it waited for run {run} to end, until {until} (overlap='queue')"


def _downtime(downtime: Downtime | None, show: Show) -> str:
    if downtime is None:
        return ""
    since = f" from {show(downtime.since)}" if downtime.since else ""
    until = f" to {show(downtime.until)}" if downtime.until else " until now"
    match downtime.cause:
        case DowntimeCause.NO_RUNNER:
            what = "no runner was alive"
        case DowntimeCause.DATABASE_AWAY:
            what = "the database did not answer"
        case DowntimeCause.STALE_LEASE:
            what = f"the leading runner {downtime.runner} was silent"
        case DowntimeCause.BETWEEN_CALLS:
            what = f"{downtime.runner} was not called"
        case DowntimeCause.CLOCK_SKEWED:
            what = f"the clock of runner {downtime.runner} differed too much from the database's"
        case _:
            assert_never(downtime.cause)
    return f"{what}{since}{until}"


# Not decided


def future(found: Evidence) -> str:
    ahead = duration((found.at - found.now).total_seconds())
    return _pending(
        found,
        f"{found.name} is due at {found.show(found.at)}, in {ahead}.",
        as_things_stand(found.obstacles),
    )


def paused_ahead(found: Evidence, reason: Reason, pause: Pause) -> str:
    due = f"{found.name} is due at {found.show(found.at)}, but"
    if reason is Reason.DISABLED:
        why = disabled_words(pause.reason, pause.since, found.show)
        return _pending(
            found,
            f"{due} it is {why}, so this slot will be skipped unless a deploy enables it before.",
        )
    what = "it is" if reason is Reason.PAUSED else "all crons are"
    until = _until(pause.until, found.show)
    before = _replaced(pause.replaced.to_data() if pause.replaced else None, found.show)
    return _pending(
        found,
        f"{due} {what} paused by "
        f"{_who(pause.actor)}{until}{because(pause.reason)}{before}, so this slot will be skipped "
        "unless somebody resumes it first.",
    )


def unaccounted(found: Evidence) -> str:
    return _pending(
        found,
        f"{_was_due(found)} no decision about it is recorded, although slots up to "
        f"{found.show(found.state.watermark)} are decided: the log has a gap here, which should "
        "never happen.",
        f"cron_audit {found.name} lists what is missing.",
    )


def waiting(found: Evidence) -> str:
    jitter = found.jitter_ahead
    if jitter is not None:
        what = f"its jitter of {jitter.total_seconds():.1f} s"
    else:
        what = f"run {_short(found.waits_for)} to end (overlap='queue')"
    return _pending(found, f"{_was_due(found)} waits for {what}.")


def undecided(found: Evidence) -> str:
    nobody = next((one for one in found.obstacles if one.kind is ObstacleKind.NO_RUNNER), None)
    others = [one for one in found.obstacles if one is not nobody]
    why, remedy = (
        (nobody.text, nobody.remedy)
        if nobody
        else ("a runner is alive and will decide it shortly", "")
    )
    why = _downtime(found.downtime, found.show) or why
    if found.downtime and found.downtime.cause is DowntimeCause.BETWEEN_CALLS:
        remedy = "Its next call decides it."
    elif found.downtime:
        remedy = "Start cron_run or cron_worker."
    told = _sentence(f"{_was_due(found)} no runner has decided it yet", why)
    return _pending(found, told, remedy, as_things_stand(others))


def unreadable(found: Evidence, *, passed: bool) -> str:
    """Of an instant that no decision covers, under a definition that cannot be read."""
    at = found.show(found.at)
    if passed:
        told = f"{found.name} was not decided at {at}: no decision in the log covers it."
    else:
        told = f"Nobody can tell whether {found.name} is due at {at}, so no runner can decide it."
    return _paragraph(told, _why_unreadable(found), further_runs(found.further_runs, found.show))


def _why_unreadable(found: Evidence) -> str:
    if not found.unreadable or found.phase is None:
        return ""
    return (
        f"Its definition (version {found.phase.definition_version}) cannot be read today "
        f"({clause(found.unreadable)}), so this is only what the log recorded."
    )


def _pending(found: Evidence, *sentences: str) -> str:
    clocks = _sentence(found.clock_change) if found.clock_change else ""
    return _paragraph(*sentences, clocks, further_runs(found.further_runs, found.show))


def _was_due(found: Evidence) -> str:
    """The beginning of a sentence about what has become of the slot."""
    ago = duration((found.now - found.at).total_seconds())
    return f"{found.name} was due at {found.show(found.at)}, {ago} ago, and"


# Not promised


def not_a_slot(found: Evidence, wrong: Sequence[Mismatch]) -> str:
    assert found.definition is not None
    why = found.clock_change or ", ".join(map(str, wrong)) or "the calendar ends there"
    before, after = found.slots_around
    if before is not None:
        has = f"the slots {found.show(before)} before and {found.show(after)} after"
    else:
        has = f"its first slot at {found.show(after)}" if after else "no slot"
    return _paragraph(
        f"{found.name} is not due at {found.show(found.at)}: {why}.",
        f"Its schedule {found.definition.schedule_text!r} has {has}.",
        further_runs(found.further_runs, found.show),
    )


def not_registered(found: Evidence) -> str:
    if found.phase is None:
        first = found.state.phases[0].start
        why = f"it was first registered at {found.show(first)}."
    else:
        before, _ = found.slots_around
        last = f" Its last slot before that was {found.show(before)}." if before else ""
        why = (
            f"it was retired at {found.show(found.phase.start)}, when a runner started with code "
            f"that does not have it.{last}"
        )
    return _paragraph(
        f"{found.name} was not registered at {found.show(found.at)}: {why}",
        further_runs(found.further_runs, found.show),
    )


# Runs


def asked_for(
    request: Event,
    run: RunSummary,
    run_events: Sequence[Event],
    show: Show,
    obstacles: Sequence[Obstacle] = (),
) -> str:
    """Of a run that no slot asked for."""
    repeated = request.data.get(keys.OF)
    of_run = f" of run {_short(repeated)}" if repeated else ""
    slot = f" for {show(request.scheduled_for)}" if request.scheduled_for else ""
    return _paragraph(
        _sentence(
            f"{request.cron} was asked for by {_who(request.actor)}{because(request.reason)}, "
            f"trigger {run.trigger}{of_run}{slot}{to_begin(run, show)}{arguments(request)}",
            run_clause(run, show),
        ),
        as_things_stand(obstacles),
        refused_starts(run_events),
    )


def further_runs(requests: Sequence[Request], show: Show) -> str:
    """A sentence about each of the first runs of a slot that people asked for, or nothing."""
    named = [
        f"{_who(request.actor, 'Somebody')} asked for run {_short(request.run_id)} of this slot at "
        f"{show(request.at)}, by {request.trigger}{because(request.reason)}."
        for request in requests[:REQUESTS_NAMED_MAX]
    ]
    more = len(requests) - REQUESTS_NAMED_MAX
    return _paragraph(*named, f"{more} more requests asked for this slot." if more > 0 else "")


# Parts


def _sentence(*clauses: str) -> str:
    """The clauses that are not empty as one sentence."""
    return f"{'; '.join(map(shown, filter(None, clauses)))}."


def _paragraph(*sentences: str) -> str:
    """The sentences that are not empty."""
    return " ".join(map(shown, filter(None, sentences)))


def _who(actor: str | None, nobody: str = "somebody") -> str:
    return actor or nobody


def _short(run_id: object) -> str:
    """As much of a run's id as ``cron_explain --run`` needs."""
    return str(run_id)[:8]


def _until(instant: datetime | None, show: Show) -> str:
    return f" until {show(instant)}" if instant else ""
