"""The names of events, and the sets that the rest of the code goes by."""

from __future__ import annotations

from rqcron_events.core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    OUTCOMES,
    RUNNER_TYPES,
    SUCCESSES,
    EventType,
)


def test_wire_names_are_frozen():
    """They are in people's databases: a new name needs an upcaster of the type, not an edit."""
    assert sorted(EventType) == sorted(
        [
            "cron_registered",
            "cron_changed",
            "cron_retired",
            "cron_paused",
            "cron_resumed",
            "cron_rewound",
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
            "clock_skewed",
            "clock_agrees",
            "all_paused",
            "all_resumed",
            "projection_rebuilt",
            "event_accepted",
            "log_went_back",
            "text_redacted",
            "texts_expired",
            "events_archived",
            "events_restored",
        ]
    )


def test_an_event_decides_or_ends_a_run_or_changes_a_definition_and_never_two_of_them():
    sets = [DECISIONS, OUTCOMES, DEFINITION_TYPES, RUNNER_TYPES]
    assert sum(map(len, sets)) == len(set().union(*sets))
    assert SUCCESSES < OUTCOMES


def test_the_name_of_an_event_says_which_stream_it_is_in():
    assert all(name.startswith("slot_") for name in DECISIONS)
    assert all(name.startswith("run_") for name in OUTCOMES)
    assert all(name.startswith("cron_") for name in DEFINITION_TYPES)
    assert all(name.startswith("runner_") for name in RUNNER_TYPES)
    assert all(isinstance(name, EventType) for name in DECISIONS | OUTCOMES)
