"""Each type is made by its constructor, in its stream, with a payload that never changes."""

from __future__ import annotations

import inspect

import pytest

from rqcron_events.core.codec import encode_data
from rqcron_events.core.events import EventType, make

from .constructors import (
    LATER,
    NEXT_TO_TYPES,
    OTHER_RUN,
    RUN,
    SLOT,
    VALUES,
    of_type,
    with_all,
    with_little,
)

IN_CRON = ["slot_fired", "slot_skipped", "slot_missed", "run_requested"]
UNNUMBERED = {
    "runner_started": "runner/web-1-42",
    "runner_stopped": "runner/web-1-42",
    "runner_lost": "runner/web-1-42",
    "clock_skewed": "runner/web-1-42",
    "clock_agrees": "runner/web-1-42",
    "all_paused": "ledger",
    "all_resumed": "ledger",
    "projection_rebuilt": "ledger",
    "event_accepted": "ledger",
    "log_went_back": "ledger",
    "text_redacted": "ledger",
    "texts_expired": "ledger",
    "events_archived": "ledger",
    "events_restored": "ledger",
}
DEFINED = (
    '"definition":{"name":"alpha","function":"shop:alpha"},"definition_version":4,'
    '"effective_from":"2026-03-02T14:00:01.500000+00:00"'
)
EFFECTIVE = '"effective_from":"2026-03-02T14:00:01.500000+00:00"'
COVERED = (
    '"first":"2026-03-02T14:00:00+00:00","last":"2026-03-02T14:00:00+00:00","count":3,'
    '"definition_version":4,"evidence":{"max_lateness_seconds":60.0}'
)
RECOVERED = '"recovered":{"from":["redis"],"status":"finished"}'
HELD_UP = '"held_up":{"since":null,"until":null,"cause":"no_runner","runner":""}'
ERROR = '"error":{"type":"ValueError","message":"no","traceback":"ValueError: no"}'
REFUSED = '"error":{"type":"ConnectionError","message":"refused"}'
FOUND = '"found":"RQ says so","worker":"4f1d","duration_seconds":1.25'
STARTED = '"retries_left":0,"job_created_at":"2026-03-02T14:00:00+00:00","job_enqueued_at":""'
RUNNER = '"host":"web-1","pid":42,"crons":12,"registry":"8b1a9953c4611296","format":3,"tzdata":"2026a","croniter":"7.0.1","schedule_reading":2'

IN_RQ = {"found": "RQ says so", "worker": "4f1d", "duration_seconds": 1.25}

# What releases have written: SQLite's log holds these very texts.
PAYLOADS = [
    ("cron_registered", {}, DEFINED),
    ("cron_changed", {}, f'{DEFINED},"changes":{{"overlap":[null,"skip"]}}'),
    ("cron_retired", {}, f'"definition_version":4,{EFFECTIVE}'),
    ("cron_paused", {}, f'"until":"2026-03-02T14:00:01.500000+00:00",{EFFECTIVE}'),
    ("cron_paused", {"until": None}, f'"until":null,{EFFECTIVE}'),
    ("cron_resumed", {}, EFFECTIVE),
    ("slot_fired", {}, '"lateness_seconds":1.5,"definition_version":4'),
    (
        "slot_fired",
        {"jitter_seconds": 0.5, "held_up": VALUES["held_up"]},
        f'"lateness_seconds":1.5,"definition_version":4,"jitter_seconds":0.5,{HELD_UP}',
    ),
    (
        "slot_fired",
        {"recovered": VALUES["recovered"]},
        f'"lateness_seconds":1.5,"definition_version":4,{RECOVERED}',
    ),
    ("slot_skipped", {}, COVERED),
    ("slot_missed", {}, COVERED),
    ("slot_missed", {"held_up": VALUES["held_up"]}, f"{COVERED},{HELD_UP}"),
    ("run_requested", {}, '"trigger":"manual"'),
    (
        "run_requested",
        {"trigger": "requeue", "of": OTHER_RUN},
        f'"trigger":"requeue","of":"{OTHER_RUN}"',
    ),
    (
        "run_requested",
        {"trigger": "backfill", "definition_version": 4, "label": "again"},
        '"trigger":"backfill","definition_version":4,"label":"again"',
    ),
    (
        "run_requested",
        {"not_before": LATER, "args": [1, "b"], "kwargs": {"dry": True}},
        '"trigger":"manual","not_before":"2026-03-02T14:00:01.500000+00:00","args":[1,"b"],'
        '"kwargs":{"dry":true}',
    ),
    (
        "run_requested",
        {"trigger": "recovered", "recovered": VALUES["recovered"]},
        f'"trigger":"recovered",{RECOVERED}',
    ),
    ("run_enqueued", {}, f'"queue":"high","job_id":"cron-{RUN}"'),
    ("run_enqueued", {"found": "no job"}, f'"queue":"high","job_id":"cron-{RUN}","found":"no job"'),
    ("enqueue_failed", {}, f'"queue":"high",{REFUSED}'),
    ("run_started", {}, STARTED),
    (
        "attempt_failed",
        {"error": VALUES["error"], "duration_seconds": 1.25},
        f'{ERROR},"retries_left":0,"duration_seconds":1.25',
    ),
    ("attempt_failed", {"duration_seconds": 1.25}, '"retries_left":0,"duration_seconds":1.25'),
    ("attempt_failed", IN_RQ, f'{FOUND},"retries_left":0'),
    ("attempt_died", {}, '"retries_left":0,"found":"started again"'),
    ("run_succeeded", {}, ""),
    (
        "run_succeeded",
        {"result": "[1]", "duration_seconds": 1.25},
        '"result":"[1]","duration_seconds":1.25',
    ),
    ("run_succeeded", IN_RQ, FOUND),
    (
        "run_failed",
        {"error": VALUES["error"], "retries_left": 0, "duration_seconds": 1.25},
        f'{ERROR},"retries_left":0,"duration_seconds":1.25',
    ),
    ("run_failed", {**IN_RQ, "error": VALUES["error"]}, f"{FOUND},{ERROR}"),
    ("run_stopped", {}, ""),
    ("run_stopped", {"found": "RQ says so", "worker": ""}, '"found":"RQ says so"'),
    ("run_cancelled", {}, ""),
    ("run_cancelled", {"found": "RQ says so"}, '"found":"RQ says so"'),
    ("run_declined", {"duration_seconds": 0.0}, '"duration_seconds":0.0'),
    ("run_lost", {"worker": "4f1d"}, '"found":"RQ says so","worker":"4f1d"'),
    ("start_refused", {}, ""),
    ("runner_started", {}, RUNNER),
    ("runner_stopped", {}, ""),
    ("runner_lost", {}, '"last_heartbeat":"2026-03-02T14:00:01.500000+00:00"'),
    ("runner_started", {"database_skew_seconds": 0.5}, f'{RUNNER},"database_skew_seconds":0.5'),
    ("clock_skewed", {}, '"database_skew_seconds":-86400.5,"skew_seconds_max":10.0'),
    (
        "clock_agrees",
        {"database_skew_seconds": 0.0},
        '"database_skew_seconds":0.0,"since":"2026-03-02T14:00:00+00:00"',
    ),
    (
        "cron_rewound",
        {},
        f'{EFFECTIVE},"watermark":"2026-03-02T14:00:01.500000+00:00","kept":'
        '[["2026-03-02T14:00:00+00:00","2026-03-02T14:00:01.500000+00:00"]]',
    ),
    ("all_paused", {"until": None}, f'"until":null,{EFFECTIVE}'),
    ("all_resumed", {}, EFFECTIVE),
    ("projection_rebuilt", {}, '"projection":"runs","version":1,"events":40,"rows":10'),
    ("event_accepted", {}, '"event":120,"stream":"cron/alpha","version":7'),
    (
        "log_went_back",
        {},
        '"epoch":1,"since":"2026-03-02T14:00:00+00:00","until":"2026-03-02T14:00:01.500000+00:00",'
        '"streams":{"cron/alpha":[9,7]}',
    ),
    (
        "events_archived",
        {},
        '"path":"segments/a.jsonl.gz","first":0,"size":40,"first_id":1,"last_id":52,"sha256":"e3b0"',
    ),
    ("events_restored", {}, '"segments":2,"size":40,"last_id":52'),
]


def test_every_type_has_a_constructor_of_its_name():
    functions = {name for name in make.__all__ if inspect.isfunction(getattr(make, name))}
    assert functions == {item.value for item in EventType} | set(NEXT_TO_TYPES)


@pytest.mark.parametrize(("name", "values", "payload"), PAYLOADS)
def test_a_payload_has_the_same_keys_in_the_same_order_for_ever(name, values, payload):
    event = with_little(getattr(make, name), **values)
    assert encode_data(event.data) == f"{{{payload}}}"


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_is_in_the_stream_of_its_type_and_says_who_and_when(event_type):
    for constructor in of_type(event_type):
        event = with_all(constructor)
        assert (event.type, event.actor, event.occurred_at) == (event_type, "ann", LATER)
        if event_type in UNNUMBERED:
            assert (event.stream, event.version, event.cron) == (UNNUMBERED[event_type], 0, "")
            continue
        in_cron = event_type in IN_CRON or event_type.startswith("cron_")
        stream = "cron/alpha" if in_cron else f"run/{RUN}"
        assert (event.stream, event.version, event.cron) == (stream, 7, "alpha")


@pytest.mark.parametrize("event_type", EventType)
def test_what_is_about_a_run_names_it_and_its_slot(event_type):
    event = with_all(of_type(event_type)[0])
    if event.stream.startswith("run/") or event_type in ("slot_fired", "run_requested"):
        assert (event.run_id, event.scheduled_for) == (RUN, SLOT)
    else:
        assert event.run_id is None


@pytest.mark.parametrize("name", ["slot_skipped", "slot_missed"])
def test_a_decision_about_many_slots_stands_at_the_last_one(name):
    event = with_all(getattr(make, name), last=LATER)
    assert event.scheduled_for == LATER
    assert event.parsed_time("last") == LATER


def test_a_dead_attempt_is_recorded_as_killed():
    event = with_all(make.attempt_died)
    assert (event.type, event.reason, event.attempt) == ("attempt_failed", "worker_killed", 2)


def test_an_event_from_the_spool_is_the_one_that_its_writer_made_and_names_its_entry():
    made = with_all(make.run_failed)
    found = make.spooled(
        made.type,
        made.data,
        entry_id="5e1f",
        cron=made.cron,
        run_id=RUN,
        version=9,
        slot=made.scheduled_for,
        attempt=made.attempt,
        reason=made.reason,
        actor=made.actor,
        at=made.occurred_at,
    )
    assert list(found.data) == [*made.data, "spooled"]
    assert found.data == {**made.data, "spooled": "5e1f"}
    columns = (
        "stream",
        "type",
        "cron",
        "run_id",
        "attempt",
        "scheduled_for",
        "reason",
        "actor",
        "occurred_at",
    )
    assert [getattr(found, name) for name in columns] == [getattr(made, name) for name in columns]
    assert found.version == 9
