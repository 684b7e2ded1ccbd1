"""An event in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.event_words import event_words
from tests.unit.history import at

ERROR = {"type": "ValueError", "message": "no " * 100}


@pytest.mark.parametrize(
    ("event_type", "values", "words"),
    [
        ("slot_fired", {"data": {"lateness_seconds": 0.25}}, "fired 250 ms after the slot"),
        ("slot_fired", {"data": {"lateness_seconds": 75}}, "fired 75.0 s late"),
        ("slot_skipped", {"reason": "overlap", "data": {"count": 1}}, "skipped: overlap"),
        (
            "slot_missed",
            {"reason": "too_late", "data": {"count": 3, "first": "2026-03-02T10:00:00+01:00"}},
            "missed: too_late (3 slots from 09:00:00)",
        ),
        (
            "slot_missed",
            {"reason": "too_late", "data": {"count": 3, "first": "2026-03-01T09:00:00+00:00"}},
            "missed: too_late (3 slots from 2026-03-01 09:00:00 UTC)",
        ),
        ("run_requested", {"reason": "no mail", "data": {}}, "asked for (manual): no mail"),
        ("run_requested", {"data": {"trigger": "rerun"}}, "asked for (rerun)"),
        (
            "run_requested",
            {"data": {"trigger": "backfill"}, "scheduled_for": at("08:59")},
            "asked for (backfill of 08:59:00)",
        ),
        (
            "run_requested",
            {"data": {"trigger": "backfill"}, "scheduled_for": at("03-01 08:59"), "reason": "mail"},
            "asked for (backfill of 2026-03-01 08:59:00 UTC): mail",
        ),
        ("run_enqueued", {"data": {"queue": "high"}}, "in queue high"),
        (
            "enqueue_failed",
            {"data": {"error": {"type": "ConnectionError", "message": "refused"}}},
            "not enqueued: ConnectionError: refused",
        ),
        ("run_started", {"attempt": 2}, "started, attempt 2"),
        (
            "attempt_failed",
            {"attempt": 1, "data": {"error": ERROR, "retries_left": 1}},
            "attempt 1 failed, 1 retry left: " + f"ValueError: {'no ' * 100}"[:160],
        ),
        (
            "attempt_failed",
            {"attempt": 3, "reason": "worker_killed", "data": {"retries_left": 2}},
            "attempt 3 failed, 2 retries left: worker_killed",
        ),
        ("run_failed", {"reason": "timeout", "data": {"error": None}}, "failed: timeout"),
        ("run_succeeded", {"data": {"duration_seconds": 1.5}}, "succeeded in 1.5 s"),
        ("run_declined", {"reason": "nothing new"}, "declined: nothing new"),
        ("start_refused", {"reason": "already_running"}, "start refused: already_running"),
        (
            "cron_changed",
            {"data": {"changes": {"queue": [], "overlap": []}}},
            "changed: overlap, queue",
        ),
        (
            "cron_changed",
            {"data": {"changes": {"overlap": [None, "skip"], "expression": ["*/2 * * * *", None]}}},
            "changed: expression */2 * * * * \u2192 none, overlap allow \u2192 skip",
        ),
        (
            "run_succeeded",
            {"data": {"duration_seconds": 1.5, "result": '{"rows":\n 3}'}},
            'succeeded in 1.5 s, returned {"rows": 3}',
        ),
        ("cron_paused", {}, "paused"),
        (
            "cron_paused",
            {"reason": "no mail", "data": {"until": "2026-03-02T11:00:00+01:00"}},
            "paused until 2026-03-02 10:00:00 UTC: no mail",
        ),
        ("all_resumed", {}, "all resumed"),
    ],
)
def test_an_event_is_told_in_a_few_words(
    event_type: str, values: dict[str, Any], words: str
) -> None:
    event = Event(
        stream="any", version=1, type=EventType(event_type), occurred_at=at("09:00"), **values
    )
    assert event_words(event) == words
