"""What is done about an open run: a table of the rule."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from rqcron_events.core.cron_state import OpenRun
from rqcron_events.core.definition import Definition
from rqcron_events.core.repair import JobFacts, Patience, Repair, judge
from tests.unit.history import at

NOON = at("12:00")
TEN_SECONDS = Definition(name="alpha", function="", options={"timeout": 10})


def ago(seconds: float):
    return NOON - timedelta(seconds=seconds)


def verdict(job: JobFacts, **run) -> Repair:
    asked = OpenRun(run_id=uuid4(), slot=None, requested_at=ago(300), **run)
    return judge(asked, TEN_SECONDS, job, NOON, Patience())


@pytest.mark.parametrize(
    ("seconds", "job", "repair"),
    [
        (30, JobFacts(status="started", executions=1), Repair.NONE),
        (300, JobFacts(status="started", executions=1), Repair.NONE),
        (69, JobFacts(status="started"), Repair.NONE),
        (70, JobFacts(status="started"), Repair.LOSE),
        (69, JobFacts(), Repair.NONE),
        (70, JobFacts(), Repair.LOSE),
        (30, JobFacts(status="finished"), Repair.RECORD_SUCCESS),
        (30, JobFacts(status="failed"), Repair.RECORD_FAILURE),
        (30, JobFacts(status="queued"), Repair.RECORD_DEAD_ATTEMPT),
    ],
    ids=str,
)
def test_an_attempt_that_began(seconds: float, job: JobFacts, repair: Repair):
    began = ago(seconds)
    assert verdict(job, enqueued_at=ago(290), started_at=began, attempt=1) is repair


@pytest.mark.parametrize(
    ("seconds", "job", "repair"),
    [
        (30, JobFacts(), Repair.ENQUEUE),
        (30, JobFacts(status="queued"), Repair.NONE),
        (69, JobFacts(status="started"), Repair.NONE),
        (70, JobFacts(status="started"), Repair.LOSE),
        (300, JobFacts(status="started", started_at=ago(30)), Repair.NONE),
        (300, JobFacts(status="started", executions=1), Repair.NONE),
    ],
    ids=str,
)
def test_a_run_without_a_start_in_the_log(seconds: float, job: JobFacts, repair: Repair):
    assert verdict(job, enqueued_at=ago(seconds)) is repair


def test_a_refused_start_that_rq_calls_finished_is_no_success():
    """Redis was emptied below the attempt, the run enqueued anew, and that start was refused."""
    run = {"enqueued_at": ago(290), "attempt": 1, "start_refused": True}
    finished = JobFacts(status="finished", ended_at=ago(20))
    assert verdict(finished, started_at=ago(30), **run) is Repair.NONE
    assert verdict(finished, started_at=ago(80), **run) is Repair.LOSE
