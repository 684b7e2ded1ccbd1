"""What became of a run, out of its events."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest

from rqcron_events.core.events import OUTCOMES, Event, EventType
from rqcron_events.core.explain.run import RunSummary, run_summary, steps
from rqcron_events.core.explain.run_sentences import run_clause
from rqcron_events.core.wording import shower
from tests.unit.history import at

RUN = UUID(int=7)
ERROR = {"type": "ValueError", "message": "no", "traceback": ""}
ENQUEUED = ("run_enqueued", {"data": {"queue": "high"}})
STARTED = ("run_started", {"attempt": 1, "actor": "worker/a"})
FAILED = ("attempt_failed", {"attempt": 1, "reason": "exception", "data": {"error": ERROR}})
AGAIN = ("run_started", {"attempt": 2, "actor": "worker/b"})


REFUSED = (
    "enqueue_failed",
    {
        "reason": "refused",
        "data": {"queue": "low", "error": {"type": "KeyError", "message": "no such queue"}},
    },
)


def events(*happened: tuple[str, dict]) -> list[Event]:
    """One each minute from 09:00."""
    return [
        Event(
            stream=f"run/{RUN}",
            version=version,
            type=EventType(kind),
            run_id=RUN,
            occurred_at=at(f"09:0{version - 1}"),
            **values,
        )
        for version, (kind, values) in enumerate(happened, start=1)
    ]


def summary(*happened: tuple[str, dict]) -> RunSummary:
    return run_summary(RUN, events(*happened))


@pytest.mark.parametrize(
    ("happened", "status", "attempts"),
    [
        ([], "requested", 0),
        ([("enqueue_failed", {"data": {"queue": "high"}})], "requested", 0),
        ([ENQUEUED], "enqueued", 0),
        ([ENQUEUED, STARTED], "running", 1),
        ([STARTED, ENQUEUED], "running", 1),  # the worker was faster than the runner's note
        ([ENQUEUED, STARTED, FAILED], "retrying", 1),
        ([ENQUEUED, STARTED, FAILED, AGAIN], "running", 2),
        ([ENQUEUED, STARTED, ("start_refused", {})], "running", 1),
    ],
)
def test_the_status_of_an_open_run(happened, status, attempts):
    run = summary(*happened)
    assert (run.status, run.attempts, run.finished_at) == (status, attempts, None)


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_the_status_of_a_run_that_ended_is_its_outcome(outcome):
    run = summary(ENQUEUED, STARTED, (outcome, {"reason": "why"}))
    assert run.status == outcome.removeprefix("run_")
    assert (run.started_at, run.finished_at, run.reason) == (at("09:01"), at("09:02"), "why")


def test_a_success_forgets_the_error_of_an_attempt_before_it():
    done = ("run_succeeded", {"data": {"duration_seconds": 3.5}})
    run = summary(ENQUEUED, STARTED, FAILED, AGAIN, done)
    assert (run.error, run.reason, run.duration_seconds) == (None, "", 3.5)
    assert (run.started_at, run.worker, run.attempts) == (at("09:01"), "worker/b", 2)
    assert summary(ENQUEUED, STARTED, FAILED).error == ERROR


@pytest.mark.parametrize(
    ("happened", "facts"),
    [
        ([ENQUEUED], ["'high'"]),
        ([REFUSED], ["is waiting", "since 2026-03-02 09:00:00 UTC", "KeyError: no such queue"]),
        ([REFUSED, ENQUEUED], ["is waiting in queue 'high'"]),
        ([ENQUEUED, STARTED], ["attempt 1", "worker/a"]),
        (
            [ENQUEUED, STARTED, FAILED],
            ["attempt 1 of its run failed (ValueError: no", "; RQ will retry"],
        ),
        ([STARTED, FAILED, AGAIN, ("run_succeeded", {})], ["succeeded", "2 attempts"]),
        ([STARTED, ("run_succeeded", {"data": {"duration_seconds": 3.5}})], ["3.5 s"]),
        ([STARTED, ("run_failed", {"data": {"error": ERROR}})], ["failed", "ValueError: no"]),
        ([STARTED, ("run_failed", {"reason": "worker_killed"})], ["failed", "worker_killed"]),
        ([STARTED, ("run_declined", {"reason": "nothing new"})], ["nothing new"]),
        ([STARTED, ("run_stopped", {"reason": "by bob"})], ["stopped", "by bob"]),
    ],
)
def test_how_a_run_stands_is_told_with_what_matters(happened, facts):
    text = run_clause(summary(*happened), shower(None))
    assert [fact for fact in facts if fact not in text] == []


def test_the_answer_is_json():
    data = json.loads(json.dumps(summary(ENQUEUED, STARTED).to_data()))
    assert (data["id"], data["started_at"]) == (str(RUN), "2026-03-02T09:01:00+00:00")


def test_the_steps_of_a_run_that_somebody_asked_for_begin_with_the_request():
    (origin,) = events(("run_requested", {"actor": "bob", "reason": "no mail"}))
    _, enqueued, refused = events(("run_requested", {}), ENQUEUED, ("start_refused", {}))
    story = steps(origin, [enqueued, refused])
    assert [(step.name, step.seconds) for step in story] == [
        ("requested", None),
        ("enqueued", 60),
        ("start_refused", 60),
    ]
    assert "bob" in story[0].detail
    assert "no mail" in story[0].detail


def test_the_steps_of_a_run_carry_the_times_between_them():
    run_id = UUID(int=1)
    slot = at("09:00")

    def event(kind: EventType, seconds: float, **fields) -> Event:
        fields.setdefault("actor", "worker/one")
        moment = slot + timedelta(seconds=seconds)
        return Event(
            stream=f"run/{run_id}",
            version=1,
            type=kind,
            occurred_at=moment,
            run_id=run_id,
            **fields,
        )

    origin = event(EventType.SLOT_FIRED, 0.5, scheduled_for=slot, actor="runner/one")
    error = {"type": "ValueError", "message": "no " * 100}
    story = steps(
        origin,
        [
            event(EventType.RUN_ENQUEUED, 0.75, data={"queue": "high"}),
            event(EventType.RUN_STARTED, 2, attempt=1),
            event(EventType.ATTEMPT_FAILED, 3, attempt=1, data={"error": error, "retries_left": 1}),
            event(EventType.RUN_STARTED, 13, attempt=2),
            event(EventType.RUN_SUCCEEDED, 14),
        ],
    )
    assert [(step.name, step.seconds) for step in story] == [
        ("slot", None),
        ("decided", 0.5),
        ("enqueued", 0.25),
        ("started", 1.25),
        ("attempt_failed", 1.0),
        ("started", 10.0),
        ("succeeded", 1.0),
    ]
    assert story[1].detail == "by runner/one"
    assert story[3].detail == "attempt 1 on worker/one"
    assert story[4].detail.startswith("attempt 1: ValueError: no no")
    assert len(story[4].detail) < 180
