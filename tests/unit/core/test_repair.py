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
        (30, JobFacts(deleted=True), Repair.RECORD_DELETED),
        (4, JobFacts(deleted=True), Repair.NONE),
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


def test_the_clock_of_the_worker_decides_nothing():
    """It noted a start that is yet to come, or one of an hour ago: what counts is when that was
    recorded, by the database."""
    run = {"enqueued_at": ago(290), "attempt": 1}
    for noted in (ago(-3_600), ago(3_600)):
        at_work = verdict(JobFacts(), started_at=noted, recorded_at=ago(30), **run)
        assert at_work is Repair.NONE
        lost = verdict(JobFacts(), started_at=noted, recorded_at=ago(80), **run)
        assert lost is Repair.LOSE
    ahead = JobFacts(status="started", started_at=ago(-3_600))
    assert verdict(ahead, started_at=ago(80), recorded_at=ago(80), **run) is Repair.LOSE


def test_a_recorded_time_that_is_to_come_is_of_a_database_that_was_set_back():
    run = {"enqueued_at": ago(290), "attempt": 1, "recorded_at": ago(-86_400)}
    assert verdict(JobFacts(), started_at=ago(80), **run) is Repair.LOSE


def test_how_long_ago_an_attempt_ended_is_by_redis():
    run = {"enqueued_at": ago(290), "started_at": ago(60), "attempt": 1}
    for seconds, repair in ((4, Repair.NONE), (6, Repair.RECORD_FAILURE)):
        ended = JobFacts(
            status="failed", ended_at=ago(-3_600), ended_for=timedelta(seconds=seconds)
        )
        assert verdict(ended, **run) is repair


def test_a_job_that_was_given_up_while_its_worker_lives_has_not_failed():
    run = {"enqueued_at": ago(290), "started_at": ago(60), "attempt": 1}
    assert verdict(JobFacts(status="failed", alive=1), **run) is Repair.NONE
    assert verdict(JobFacts(status="failed"), **run) is Repair.RECORD_FAILURE
