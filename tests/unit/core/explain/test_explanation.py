"""The JSON of ``cron_explain --format json``: its keys are a promise to whoever reads it."""

from __future__ import annotations

from rqcron_events.core.explain.slot import explain_slot
from tests.unit.core.explain.test_evidence import evidence, history
from tests.unit.history import at

KEYS = (
    "cron", "at", "verdict", "reason", "summary", "slot", "lateness_seconds", "run", "definition",
    "previous_slot", "next_slot", "downtime", "obstacles", "clock_change", "mismatch", "steps",
    "requests", "events",
)  # fmt: skip


def test_the_answer_has_these_keys_whatever_the_verdict() -> None:
    for clock in ("08:00", "09:00", "09:05", "23:00"):
        answer = explain_slot(evidence(history(), clock)).to_data()
        assert tuple(answer) == KEYS


def test_a_definition_is_shown_with_what_it_leaves_out_by_default() -> None:
    definition = explain_slot(evidence(history(), "09:00")).to_data()["definition"]
    assert (
        definition.items()
        >= {
            "name": "alpha",
            "schedule": "*/10 * * * *",
            "timezone": "UTC",
            "queue": "default",
            "version": 1,
            "effective_from": at("08:55").isoformat(),
        }.items()
    )


def test_an_event_is_shown_with_who_and_why() -> None:
    past = history()
    past.pause(at("09:01"), reason="moving")
    events = explain_slot(evidence(past, "09:10")).to_data()["events"]
    assert [tuple(event) for event in events] == [
        ("id", "type", "occurred_at", "actor", "reason", "data")
    ] * len(events)
    assert ("cron_paused", "ada", "moving") in [
        (event["type"], event["actor"], event["reason"]) for event in events
    ]
