"""Logs and jobs of earlier releases stay usable; ``tests/stored`` says where they come from."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job

from rqcron_events import explain
from rqcron_events.core.codec import decode_data, decode_rows
from rqcron_events.core.events import EventType
from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock
from tests.stored.make import payloads
from tests.stored.reading import (
    differences,
    load,
    parsed_times,
    restore_job,
    stored,
    stored_log,
)

WIRE_NAMES = {
    "cron_registered",
    "cron_changed",
    "cron_retired",
    "cron_paused",
    "cron_resumed",
    "slot_fired",
    "slot_skipped",
    "slot_missed",
    "run_requested",
    "run_enqueued",
    "enqueue_failed",
    "run_started",
    "attempt_failed",
    "run_succeeded",
    "run_failed",
    "run_stopped",
    "run_cancelled",
    "run_declined",
    "run_lost",
    "start_refused",
    "runner_started",
    "runner_stopped",
    "runner_lost",
    "all_paused",
    "all_resumed",
    "projection_rebuilt",
}
LOG = stored_log()
PAYLOADS = stored("payloads.json")
ANSWERS = stored("answers.json")
for row in ANSWERS["list"]:
    if row["name"] == "mail":  # all its runs declined, which has had a status of its own since
        row["status"] = {"new": "idle"}[row["status"]]
JOB = stored("job.json")
SLOT = datetime.fromisoformat(JOB["slot"])


# Payloads


def test_every_event_of_the_first_release_is_stored():
    assert {row["type"] for row in LOG} == {payload["type"] for payload in PAYLOADS} == WIRE_NAMES


def test_there_is_a_golden_payload_for_each_set_of_keys_in_the_stored_log():
    assert payloads(LOG) == PAYLOADS


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload["type"])
def test_a_golden_payload_is_read_as_it_was_written(payload):
    given = json.loads(json.dumps(payload["data"]))
    read = decode_data(EventType(payload["type"]), payload["schema_version"], given)
    assert read == payload["data"]


def test_stored_rows_are_read_as_they_were_written():
    rows = [parsed_times(row) for row in LOG]
    events = decode_rows(
        [
            (
                *(row[name] for name in ("id", "stream", "version", "type", "schema_version")),
                row["cron"],
                UUID(row["run_id"]).bytes if row["run_id"] else None,
                *(row[name] for name in ("attempt", "scheduled_for", "reason", "actor")),
                row["occurred_at"],
                row["recorded_at"],
                json.dumps(row["data"]),
            )
            for row in rows
        ]
    )
    assert [_read(event) for event in events] == [
        {name: value for name, value in row.items() if name != "schema_version"} for row in rows
    ]


def _read(event: Any) -> dict[str, Any]:
    return asdict(event) | {
        "type": event.type.value,
        "run_id": str(event.run_id) if event.run_id else None,
    }


# The log


@pytest.fixture
def asked_then(db: None) -> Iterator[None]:
    """The stored log, at the time at which its own release was asked about it."""
    load(LOG)
    with FakeClock(datetime.fromisoformat(ANSWERS["asked_at"])):
        yield


def ask(*words: str, exit_code: int = 0) -> Any:
    stream = io.StringIO()
    ended = 0
    try:
        call_command(*words, "--format", "json", stdout=stream)
    except SystemExit as end:
        ended = end.code
    assert ended == exit_code
    return json.loads(stream.getvalue())


def test_a_stored_log_is_replayed_and_written_on(transactional_db):
    load(LOG)
    with FakeClock(datetime.fromisoformat(ANSWERS["asked_at"])):
        rebuilt = ask("cron_replay", "--by", "ann")
        assert ask("cron_replay", "--check") == []
        assert not differences(ANSWERS["list"], ask("cron_list"))
    known = {row["projection"]: row["events"] for row in rebuilt}
    assert min(known.values()) >= len(LOG)
    appended = CronEvent.objects.filter(id__gt=LOG[-1]["id"])
    assert {event.data["projection"] for event in appended} == set(known)
    version = max(row["version"] for row in LOG if row["stream"] == "ledger")
    assert appended.order_by("id")[0].version == version + 1


def test_the_audit_finds_in_a_stored_log_what_it_found_then(asked_then):
    """And besides what that release did not look for: the last runner stopped at 07:05, so two slots
    have been due for more than ten minutes.
    """
    found = ask("cron_audit", exit_code=1)
    overdue = [item for cron in found["crons"] for item in cron["findings"]]
    assert [(item["kind"], item["stream"], item["slot"]) for item in overdue] == [
        ("overdue", "cron/export", "2026-03-08T07:16:00+00:00"),
        ("overdue", "cron/prices", "2026-03-08T07:10:00+00:00"),
    ]
    for cron in found["crons"]:
        cron["findings"] = []
    found["totals"]["findings"] -= len(overdue)
    assert not differences(ANSWERS["audit"], {**found, "ok": True})


@pytest.mark.parametrize("asked", ANSWERS["explain"], ids=lambda asked: " ".join(asked["question"]))
def test_a_stored_log_is_explained_as_it_was_then(asked_then, asked):
    unknown = asked["answer"]["verdict"] == "unknown_cron"
    answer = ask("cron_explain", *asked["question"], exit_code=int(unknown))
    assert not differences(asked["answer"], answer)


def test_the_crons_of_a_stored_log_are_listed_as_they_were_then(asked_then):
    assert not differences(ANSWERS["list"], ask("cron_list"))


def test_the_runs_of_a_stored_log_are_listed_as_they_were_then(asked_then):
    for cron, runs in ANSWERS["history"].items():
        assert not differences(runs, ask("cron_history", cron, "--limit", "100"))


def test_an_answer_that_differs_is_noticed():
    old = {"verdict": "fired", "summary": "It fired.", "steps": [{"seconds": 1.5}]}
    assert differences(old, {**old, "summary": "It did fire.", "added": 1}) == []
    assert differences(old, {**old, "summary": " "}) == ["answer.summary is empty"]
    assert differences(old, {**old, "steps": [{"seconds": 2}]}) == [
        "answer.steps[0].seconds was 1.5 and is 2"
    ]
    assert len(differences(old, {**old, "steps": []})) == 1
    assert differences(old, {"summary": "It fired.", "steps": old["steps"]}) == [
        "answer.verdict is missing"
    ]


# The job


@pytest.fixture
def work(transactional_db: None, redis_connection: Redis) -> Iterator[Any]:
    """``work()`` runs the stored job, in this process, and returns it."""
    load(JOB["rows"])
    restore_job(redis_connection, JOB)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run() -> Job:
        queue = Queue(JOB["queue"], connection=redis_connection)
        SimpleWorker([queue], connection=redis_connection, name="worker-of-today").work(burst=True)
        return Job.fetch(JOB["job_id"], connection=redis_connection)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def new_events() -> list[CronEvent]:
    return list(CronEvent.objects.filter(id__gt=JOB["rows"][-1]["id"]).order_by("id"))


def test_a_stored_job_runs_and_its_success_is_recorded(work):
    assert work().is_finished
    started, succeeded = new_events()
    assert [started.type, succeeded.type] == ["run_started", "run_succeeded"]
    assert {str(event.run_id) for event in (started, succeeded)} == {JOB["run_id"]}
    assert (started.scheduled_for, started.attempt) == (SLOT, 1)
    assert started.actor == "worker/worker-of-today"
    assert succeeded.to_event().data["result"] == '"2026-03-06"'
    answer = explain(JOB["cron"], SLOT)
    assert answer.verdict == "fired"
    assert answer.run.status == "succeeded"
    assert [step.name for step in answer.steps] == [
        "slot", "decided", "enqueued", "started", "succeeded",
    ]  # fmt: skip


def test_a_stored_job_that_fails_calls_the_callback_that_it_names(work, monkeypatch):
    monkeypatch.setenv("TEST_ARCHIVE_FAILS", f"{SLOT:%d}")
    assert work().is_failed
    started, failed = new_events()
    assert [started.type, failed.type] == ["run_started", "run_failed"]
    assert failed.to_event().data["error"]["message"] == "the disk is full"
    answer = explain(JOB["cron"], SLOT)
    assert (answer.verdict, answer.run.status) == ("fired", "failed")


def test_what_a_stored_job_calls_exists(redis_connection):
    restore_job(redis_connection, JOB)
    job = Job.fetch(JOB["job_id"], connection=redis_connection)
    assert job.args == (JOB["cron"], JOB["run_id"])
    for named in (job.func, job.success_callback, job.failure_callback, job.stopped_callback):
        assert callable(named)
