"""The invariants, checked from the log, from RQ and from the outside table together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime

from .app.outside import Row
from .evidence import AROUND_SECONDS, OUTCOMES, Event, Evidence

__all__ = ["violations"]

DATABASE_AWAY = ("_database", "_pooler", "fail_over")
"""Kinds of faults in which a worker cannot write."""
CLOCK_SECONDS = 0.005
"""RQ's and the database's clock are one clock here, read by two programs."""
_IN_RQ = {
    "finished": {"run_succeeded", "run_declined"},
    "failed": {"run_failed"},
    "stopped": {"run_stopped"},
    "canceled": {"run_cancelled"},
}


def violations(evidence: Evidence) -> list[str]:
    """One text for each, with the run's events and outside rows; empty when all is well."""
    checks = (
        _each_slot_is_decided_once,
        _each_promised_slot_is_covered,
        _nothing_acts_before_its_decision,
        _no_attempts_overlap,
        _what_ended_well_is_not_started_again,
        _no_more_attempts_than_allowed,
        _each_run_has_one_outcome,
        _an_outcome_says_what_happened,
        _rq_agrees,
    )
    return [text for check in checks for text in check(evidence)]


def _each_slot_is_decided_once(evidence: Evidence) -> Iterator[str]:
    for cron, slots in evidence.covered().items():
        twice = sorted(slot for slot, times in slots.items() if times > 1)
        if twice:
            yield f"I1: {cron}: decided more than once: {[*map(_clock, twice[:5])]}"


def _each_promised_slot_is_covered(evidence: Evidence) -> Iterator[str]:
    periods = evidence.periods()
    covered = evidence.covered()
    for cron, period in periods.items():
        registered_at = evidence.registered_at()[cron]
        slots = covered.get(cron)
        if not slots:  # the watermark is where the cron was registered
            continue
        first = (int(registered_at.timestamp()) // period + 1) * period
        promised = set(range(first, max(slots) + 1, period))
        if missing := sorted(promised - slots.keys()):
            yield f"I2: {cron}: {len(missing)} not covered: {[*map(_clock, missing[:5])]}"
        if surplus := sorted(slots.keys() - promised):
            yield f"I2: {cron}: not promised, but decided: {[*map(_clock, surplus[:5])]}"


def _nothing_acts_before_its_decision(evidence: Evidence) -> Iterator[str]:
    decisions = evidence.decisions()
    for job in evidence.jobs.values():
        decision = decisions.get(job.run_id)
        made_at = _seconds(job.created_at)
        if decision is None:
            if not evidence.trace_lost(made_at):
                yield f"I3: RQ has had a job of run {job.run_id}, which nobody decided"
        elif 0 < made_at < decision[
            "recorded_at"
        ].timestamp() - CLOCK_SECONDS and not _made_by_a_wrong_clock(evidence, decision):
            yield f"I3: the job was made before its decision{_story(evidence, job.run_id)}"
    for run_id, rows in evidence.attempts().items():
        decision = decisions.get(run_id)
        if decision is None:
            # It may have waited in a Redis that told nothing of it when somebody looked.
            asked_at = _seconds(rows[0].slot) or rows[0].began_at
            if not evidence.trace_lost(asked_at):
                yield f"I3: run {run_id} was executed, and nobody decided it"
        elif "recovered" in decision["data"]:
            continue  # its first decision was committed before, and lost
        elif rows[0].began_at < decision["recorded_at"].timestamp() - CLOCK_SECONDS:
            yield f"I3: it ran before its decision{_story(evidence, run_id)}"


def _no_attempts_overlap(evidence: Evidence) -> Iterator[str]:
    for run_id, rows in evidence.attempts().items():
        for before, after in itertools.pairwise(rows):
            if evidence.trace_lost(before.began_at):
                continue
            # A killed process leaves no end; the fault that killed it says when that was.
            if before.ended_at is not None and before.ended_at > after.began_at:
                yield f"I4: two attempts overlap{_story(evidence, run_id)}"
            if before.ended_at is None and not evidence.killed(before.pid, before.began_at):
                yield f"I4: started again while it may run{_story(evidence, run_id)}"


def _what_ended_well_is_not_started_again(evidence: Evidence) -> Iterator[str]:
    for run_id, rows in evidence.attempts().items():
        if any(row.ended == "well" for row in rows[:-1]) and not _unrecorded(evidence, rows):
            yield f"I4: started again after it ended well{_story(evidence, run_id)}"


def _unrecorded(evidence: Evidence, rows: list[Row]) -> bool:
    """The ways in which a good end stays unknown, as docs/guarantees.md says."""
    return all(
        evidence.killed(row.pid, row.ended_at or row.began_at)
        or _both_away(evidence, row)
        or evidence.trace_lost(row.ended_at or row.began_at)
        for row in rows[:-1]
        if row.ended == "well"
    )


def _both_away(evidence: Evidence, row: Row) -> bool:
    """Whether the end could be written nowhere, or was lost from Redis before it was drained."""
    ended = row.ended_at or row.began_at
    outcome = next(
        (e for e in evidence.streams().get(row.run_id, ()) if e["type"] in OUTCOMES), None
    )
    known = outcome["recorded_at"].timestamp() if outcome else float("inf")
    return evidence.struck(
        DATABASE_AWAY, row.began_at - AROUND_SECONDS, ended + AROUND_SECONDS
    ) and evidence.struck(("_redis",), row.began_at - AROUND_SECONDS, known)


def _no_more_attempts_than_allowed(evidence: Evidence) -> Iterator[str]:
    for run_id, rows in evidence.attempts().items():
        allowed = 1 + evidence.retries(rows[0].cron)
        unknown = any(_both_away(evidence, r) or evidence.trace_lost(r.began_at) for r in rows)
        if len(rows) > allowed and not unknown:
            yield f"I4: {len(rows)} attempts, {allowed} allowed{_story(evidence, run_id)}"


def _each_run_has_one_outcome(evidence: Evidence) -> Iterator[str]:
    streams = evidence.streams()
    for run_id in evidence.decisions():
        outcomes = [e["type"] for e in streams.get(run_id, ()) if e["type"] in OUTCOMES]
        if len(outcomes) != 1:
            yield f"I5: outcomes: {outcomes or 'none'}{_story(evidence, run_id)}"
    for run_id in streams.keys() - evidence.decisions().keys():
        first = streams[run_id][0]
        if evidence.trace_lost((first["scheduled_for"] or first["recorded_at"]).timestamp()):
            continue
        yield f"I3: events of a run that nobody decided{_story(evidence, run_id)}"


def _an_outcome_says_what_happened(evidence: Evidence) -> Iterator[str]:
    attempts = evidence.attempts()
    for run_id, stream in evidence.streams().items():
        outcome = next((e for e in stream if e["type"] in OUTCOMES), None)
        if outcome is None:
            continue
        rows = attempts.get(run_id, [])
        well = [row for row in rows if row.ended == "well"]
        succeeded = outcome["type"] == "run_succeeded"
        if succeeded and not well:
            yield f"I9: recorded as succeeded, and it did not{_story(evidence, run_id)}"
        for row in well:
            if succeeded or evidence.killed(row.pid, row.ended_at or row.began_at):
                continue
            lost = evidence.trace_lost(row.ended_at or row.began_at)
            if not (lost or _both_away(evidence, row)):
                yield f"I9: it ended well and that is not recorded{_story(evidence, run_id)}"


def _rq_agrees(evidence: Evidence) -> Iterator[str]:
    """Where RQ still has the job. It loses jobs and outcomes itself when Redis goes away."""
    for run_id, stream in evidence.streams().items():
        job = evidence.jobs.get(run_id)
        outcome = next((e for e in stream if e["type"] in OUTCOMES), None)
        if job is None or outcome is None or job.status not in _IN_RQ:
            continue
        if outcome["type"] in _IN_RQ[job.status]:
            continue
        since = stream[0]["occurred_at"].timestamp() - AROUND_SECONDS
        until = outcome["occurred_at"].timestamp() + AROUND_SECONDS
        refused = any(event["type"] == "start_refused" for event in stream)
        killed = any(
            row
            for row in evidence.attempts().get(run_id, ())
            if evidence.killed(row.pid, row.began_at)
        )
        lost = any(evidence.trace_lost(at) for at in (since, until))
        if not (refused or killed or lost or evidence.struck(("_redis",), since, until)):
            yield f"I9: RQ says {job.status}{_story(evidence, run_id)}"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _made_by_a_wrong_clock(evidence: Evidence, decision: Event) -> bool:
    """Or its decision is the second one, because the first was lost."""
    at = decision["recorded_at"].timestamp()
    return "recovered" in decision["data"] or evidence.struck(("_clock",), at - 30, at + 30)


def _story(evidence: Evidence, run_id: str) -> str:
    decision = evidence.decisions().get(run_id)
    lines = [
        _event_line(event) for event in [decision, *evidence.streams().get(run_id, [])] if event
    ]
    lines += [
        f"outside: attempt {row.attempt} pid {row.pid} {row.began_at:.3f} to "
        f"{row.ended_at or 0:.3f} {row.ended}"
        for row in evidence.attempts().get(run_id, [])
    ]
    job = evidence.jobs.get(run_id)
    lines.append(f"RQ: {job}")
    return f", run {run_id}:" + "".join(f"\n    {line}" for line in lines)


def _event_line(event: Event) -> str:
    found = event["data"].get("found", "")
    return (
        f"{event['id']} {event['type']} attempt {event['attempt']} {event['reason']} "
        f"{event['occurred_at'].timestamp():.3f} (recorded {event['recorded_at'].timestamp():.3f}) "
        f"{event['cron']} by {event['actor']} {found}"
    )


def _clock(slot: int) -> str:
    return datetime.fromtimestamp(slot).strftime("%H:%M:%S")
