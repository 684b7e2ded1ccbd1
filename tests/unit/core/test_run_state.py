"""What a run's events come to, and whether it may start: a table of the rule."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.run_state import RunState, Start, start_verdict
from tests.unit.history import at

NOON = at("12:00")
RUN = UUID(int=7)


def folded(*events: tuple[str, dict]) -> RunState:
    state = RunState(RUN)
    for version, (kind, values) in enumerate(events, start=1):
        state.apply(
            Event(
                stream=state.stream,
                version=version,
                type=EventType(kind),
                run_id=RUN,
                occurred_at=NOON,
                **values,
            )
        )
    return state


ENQUEUED = ("run_enqueued", {"cron": "alpha", "scheduled_for": at("11:50")})
STARTED = ("run_started", {"attempt": 1, "actor": "worker/a", "data": {"retries_left": 2}})
FAILED = ("attempt_failed", {"attempt": 1})
SECOND = ("run_started", {"attempt": 2, "actor": "worker/b"})


@pytest.mark.parametrize(
    ("events", "running", "attempt"),
    [
        ([ENQUEUED], False, 0),
        ([ENQUEUED, STARTED], True, 1),
        ([ENQUEUED, STARTED, FAILED], False, 1),
        ([ENQUEUED, STARTED, FAILED, ("run_started", {"actor": "worker/b"})], True, 2),
        ([ENQUEUED, STARTED, ("run_succeeded", {})], False, 1),
        ([ENQUEUED, STARTED, ("start_refused", {"attempt": 2})], True, 1),
    ],
)
def test_a_run_is_running_between_a_start_and_its_end(events, running, attempt):
    state = folded(*events)
    assert (state.running, state.attempt) == (running, attempt)
    assert (state.cron, state.slot, state.version) == ("alpha", at("11:50"), len(events))


@pytest.mark.parametrize(
    ("events", "end", "attempt", "counts"),
    [
        ([ENQUEUED, STARTED], "attempt_failed", 1, True),
        ([ENQUEUED, STARTED], "attempt_failed", None, True),
        ([ENQUEUED, STARTED, FAILED], "attempt_failed", 1, False),
        ([ENQUEUED, STARTED, FAILED, SECOND], "attempt_failed", 1, False),
        ([ENQUEUED, STARTED, FAILED, SECOND], "attempt_failed", 2, True),
        ([ENQUEUED, STARTED, FAILED, SECOND], "run_succeeded", 1, True),
        ([ENQUEUED, STARTED, ("run_lost", {})], "run_succeeded", 1, False),
    ],
)
def test_an_attempt_ends_once_and_ends_no_later_one(events, end, attempt, counts):
    event = Event(stream="", version=9, type=EventType(end), occurred_at=NOON, attempt=attempt)
    assert folded(*events).takes(event) == counts


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_every_outcome_ends_a_run(outcome):
    state = folded(ENQUEUED, STARTED, (outcome, {}))
    assert (state.outcome, state.ended_at, state.running) == (outcome, NOON, False)


def test_an_event_that_is_in_already_changes_nothing():
    state = folded(ENQUEUED, STARTED, FAILED)
    state.apply(
        Event(
            stream=state.stream,
            version=2,
            type=EventType.RUN_STARTED,
            run_id=RUN,
            occurred_at=NOON,
        )
    )
    assert (state.version, state.running, state.attempt) == (3, False, 1)


def test_entries_of_the_spool_that_are_in_the_log_are_known():
    state = folded(ENQUEUED, ("run_started", {"data": {"spooled": "one"}}), FAILED)
    assert state.spooled == {"one"}


@pytest.mark.parametrize(
    "outcome", [EventType.RUN_SUCCEEDED, EventType.RUN_DECLINED, EventType.RUN_STOPPED]
)
def test_what_has_succeeded_is_not_done_again_whoever_asks(outcome):
    """I4."""
    verdict = start_verdict(
        RunState(RUN, outcome=outcome, job_created_at="once"),
        retries_left=3,
        other_execution_alive=False,
        job_created_at="once",
    )
    succeeded = outcome is not EventType.RUN_STOPPED
    assert verdict is (Start.REFUSE_SUCCEEDED if succeeded else Start.BEGIN_AGAIN)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ({}, Start.REFUSE_RUNNING),
        ({"other_execution_alive": False}, Start.BEGIN_AFTER_DEATH),
        ({"retries_left": 0}, Start.BEGIN_AFTER_DEATH),
        ({"job_created_at": "later"}, Start.REFUSE_RUNNING),
        ({"job_created_at": "later", "other_execution_alive": False}, Start.REFUSE_RUNNING),
        ({"job_created_at": "later", "retries_left": 0}, Start.REFUSE_RUNNING),
    ],
    ids=str,
)
def test_a_start_while_an_attempt_runs_by_the_log(now: dict, start: Start):
    state = RunState(uuid4(), started_at=NOON, attempt=1, retries_left=1, job_created_at="once")
    asked = {"retries_left": 1, "other_execution_alive": True, "job_created_at": "once"} | now
    assert start_verdict(state, **asked) is start


def test_an_ended_run_is_begun_again_only_by_its_own_job():
    state = RunState(uuid4(), outcome=EventType.RUN_FAILED, job_created_at="once")
    asked = {"retries_left": 0, "other_execution_alive": False}
    assert start_verdict(state, **asked, job_created_at="once") is Start.BEGIN_AGAIN
    assert start_verdict(state, **asked, job_created_at="later") is Start.REFUSE_ENDED


@pytest.mark.parametrize(
    ("outcome", "start"),
    [(None, Start.REFUSE_RUNNING), (EventType.RUN_FAILED, Start.REFUSE_ENDED)],
    ids=str,
)
def test_an_entry_that_is_in_the_queue_twice_is_no_second_asking(outcome, start: Start):
    state = RunState(uuid4(), outcome=outcome, started_at=NOON, job_enqueued_at="then")
    asked = {"retries_left": 0, "other_execution_alive": False, "job_created_at": "once"}
    assert start_verdict(state, **asked, job_enqueued_at="then") is start
    assert start_verdict(state, **asked, job_enqueued_at="later").refusal is None
