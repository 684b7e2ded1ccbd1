"""The checks of a drill can fail: made-up evidence, each with one thing wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.chaos.app.outside import Row
from tests.chaos.evidence import Evidence, Job
from tests.chaos.faults import Fault
from tests.chaos.invariants import violations

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DEFINITION = {"name": "alpha", "every_seconds": 1}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def event(number: int, kind: str, stream: str, seconds: float, **values) -> dict:
    given = {"id": number, "type": kind, "stream": stream, "cron": "alpha", "run_id": None}
    given |= {"attempt": None, "reason": "", "actor": "", "scheduled_for": None, "data": {}}
    return given | {"occurred_at": at(seconds), "recorded_at": at(seconds)} | values


REGISTERED = event(1, "cron_registered", "cron/alpha", 0.5, data={"definition": DEFINITION})
FIRED = event(2, "slot_fired", "cron/alpha", 1.1, scheduled_for=at(1), run_id="r")
SKIPPED = event(3, "slot_skipped", "cron/alpha", 2.1, scheduled_for=at(2))
SUCCEEDED = event(5, "run_succeeded", "run/r", 3.0, run_id="r", attempt=1)
FAILED = SUCCEEDED | {"type": "run_failed"}
ROW = Row(
    id=1,
    cron="alpha",
    run_id="r",
    slot="",
    attempt=1,
    pid=7,
    began_at=at(2).timestamp(),
    ended_at=at(3).timestamp(),
    ended="well",
)
AGAIN = replace(ROW, id=2, began_at=at(4).timestamp(), ended_at=at(5).timestamp())
GOOD = Evidence(
    events=[REGISTERED, FIRED, SKIPPED, SUCCEEDED],
    rows=[ROW],
    jobs={"r": Job(run_id="r", status="finished", created_at=at(1.2).isoformat())},
    faults=[],
)


def found(**changes) -> set[str]:
    return {text[:2] for text in violations(replace(GOOD, **changes))}


def test_good_evidence_is_without_violation():
    assert found() == set()


def test_a_slot_that_is_decided_twice():
    again = SKIPPED | {"id": 9, "scheduled_for": at(1)}
    assert found(events=[*GOOD.events, again]) == {"I1"}


def test_a_slot_that_is_left_out():
    later = SKIPPED | {"scheduled_for": at(4)}
    assert found(events=[REGISTERED, FIRED, later, SUCCEEDED]) == {"I2"}


def test_an_execution_that_nobody_decided():
    assert "I3" in found(events=[REGISTERED, SKIPPED | {"scheduled_for": at(1)}])


def test_a_job_that_is_older_than_its_decision():
    early = Job(run_id="r", status="finished", created_at=at(1.0).isoformat())
    assert found(jobs={"r": early}) == {"I3"}


def test_attempts_that_overlap_or_follow_a_good_end():
    assert found(rows=[ROW, replace(AGAIN, began_at=at(2.5).timestamp())]) == {"I4"}
    assert found(rows=[ROW, AGAIN]) == {"I4"}


def test_a_run_without_an_outcome_or_with_two():
    assert found(events=[REGISTERED, FIRED, SKIPPED], jobs={}) == {"I5"}
    assert found(events=[*GOOD.events, SUCCEEDED]) == {"I5"}


def test_an_outcome_that_is_not_what_happened():
    assert found(rows=[]) == {"I9"}
    failed = [REGISTERED, FIRED, SKIPPED, FAILED]
    assert found(events=failed, jobs={}) == {"I9"}
    killed = Fault(kind="kill_horse", target="", began_at=0, ended_at=at(3).timestamp(), pids=(7,))
    assert found(events=failed, jobs={}, faults=[killed]) == set()


def test_rq_says_something_else():
    job = replace(GOOD.jobs["r"], status="failed")
    assert found(jobs={"r": job}) == {"I9"}


def test_a_failover_that_loses_commits_excuses_what_nothing_can_tell_any_more():
    """That is: with a Redis that was struck as well, and about the time of what is lost."""
    undecided = [REGISTERED, SKIPPED | {"scheduled_for": at(1)}]
    began = at(1).timestamp()
    lost = Fault(kind="fail_over", target="", began_at=began, ended_at=began + 3)
    emptied = Fault(kind="empty_redis", target="", began_at=began + 4, ended_at=began + 4)
    assert "I3" in found(events=undecided)
    assert "I3" in found(events=undecided, faults=[lost])
    assert "I3" in found(events=undecided, faults=[emptied])
    assert "I3" not in found(events=undecided, faults=[lost, emptied])
    before = [replace(fault, began_at=0, ended_at=1) for fault in (lost, emptied)]
    assert "I3" in found(events=undecided, faults=before)
    again = [*GOOD.events, SKIPPED | {"id": 9, "scheduled_for": at(1)}]
    assert found(events=again, faults=[lost, emptied]) == {"I1"}
