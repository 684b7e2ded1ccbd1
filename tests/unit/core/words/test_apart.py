"""Texts are taken out of an event, and put back as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.core.words.apart import (
    CHANGED,
    GONE,
    REASON_CHARS_MAX,
    Stored,
    digest_of,
    has_texts,
    taken_apart,
    with_texts,
    without_run_texts,
)

RUN = UUID(int=5)


def failed(data: dict[str, Any], reason: str = "exception") -> Event:
    return Event(
        stream=run_stream(RUN), version=3, type=EventType.RUN_FAILED, cron="c", run_id=RUN,
        reason=reason, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), data=data,
    )  # fmt: skip


def apart(event: Event) -> tuple[Event, dict[str, Stored]]:
    facts, texts = taken_apart(event, lambda _, text: text, lambda shape: f"<{shape}>")
    return facts, {text.field: Stored(text.salt, text.text) for text in texts}


ERROR = {"type": "ValueError", "message": "no order 4711 of Ann", "traceback": "Traceback ..."}


def test_facts_stay_and_words_go():
    facts, stored = apart(failed({"duration_seconds": 1.5, "error": ERROR, "retries_left": 0}))
    assert facts.data == {
        "duration_seconds": 1.5,
        "error": {"type": "ValueError", "shape": "<no order <number> of Ann>"},
        "retries_left": 0,
        "texts": {field: digest_of(*text) for field, text in stored.items()},
    }
    assert {field: text.text for field, text in stored.items()} == {
        "error.message": "no order 4711 of Ann",
        "error.traceback": "Traceback ...",
    }
    assert "Ann" not in repr(facts.data["texts"])


def test_no_two_salts_are_the_same():
    event = failed({"error": ERROR})
    digests = [apart(event)[0].data["texts"]["error.message"] for _ in range(2)]
    assert digests[0] != digests[1]


def test_what_is_gone_or_changed_is_said_and_keeps_its_hash():
    facts, stored = apart(failed({"error": ERROR, "result": "[1]"}))
    changed = Stored(stored["error.message"].salt, "no order 4711 of Bob")
    shown = with_texts(facts, {"error.message": changed, "result": stored["result"]})
    assert shown.data["error"]["message"] == CHANGED
    assert shown.data["error"]["traceback"] == GONE
    assert shown.data["result"] == "[1]"
    assert shown.data["texts"].keys() == {"error.message", "error.traceback"}


def test_what_a_run_said_can_be_left_out_wherever_it_stands_and_is_not_put_back():
    whole = failed({"error": ERROR, "result": "[1]", "retries_left": 0}, "because " * 100)
    facts, stored = apart(whole)
    for event in (whole, facts, with_texts(facts, stored)):
        left = replace(event, data=without_run_texts(event.data))
        shown = with_texts(left, stored)
        assert shown.data["error"].keys() - {"shape"} == {"type"}
        assert shown.data.keys() == {"error", "retries_left"}
        assert shown.reason == whole.reason, "of a person"
    assert without_run_texts({"error": "no object", "texts": 1}) == {
        "error": "no object",
        "texts": 1,
    }


def test_a_long_reason_of_a_person_stands_apart_but_for_its_beginning():
    reason = "because " * 100
    event = failed({}, reason)
    facts, stored = apart(event)
    assert len(facts.reason) == REASON_CHARS_MAX
    assert facts.reason.startswith("because because")
    assert with_texts(facts, stored) == event
    assert with_texts(facts, {}).reason == facts.reason


def test_an_ordinary_event_is_not_touched():
    for data in ({}, {"duration_seconds": 0.1}, {"texts": "no object"}):
        event = failed(data)
        assert not has_texts(event)
        assert with_texts(event, {}) is event
    empty = failed({"error": {"type": "E", "message": "", "traceback": ""}})
    assert apart(empty)[0] is empty


def test_what_was_taken_apart_is_taken_apart_once():
    facts, _ = apart(failed({"error": ERROR}))
    assert apart(facts)[1] == {}
    assert apart(facts)[0] is facts


@given(message=st.text(), trace=st.text(), result=st.text(), reason=st.text(max_size=400))
def test_there_and_back(message: str, trace: str, result: str, reason: str):
    error = {"type": "E", "message": message, "traceback": trace}
    event = failed({"error": error, "result": result}, reason)
    facts, stored = apart(event)
    back = with_texts(facts, stored)
    told = {key: value for key, value in back.data["error"].items() if key != "shape"}
    assert told == error
    assert (back.data["result"], back.reason) == (result, reason)
    assert "texts" not in back.data
