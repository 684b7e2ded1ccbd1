"""What was decided and lost is decided again: by traces where there are any, and as missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from rqcron_events.core.cron_state import CronState
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, make
from rqcron_events.core.recovery import Trace, decided_again, decided_until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BY_HAND = UUID("0c9f9d46-3f6b-4f0e-9d0a-6a2f60f4f1b7")


@pytest.fixture
def state() -> CronState:
    """Each minute, registered at noon, and nothing decided."""
    found = CronState("report")
    event = make.cron_registered(
        cron="report",
        version=1,
        actor="",
        at=NOON,
        definition={"name": "report", "function": "shop:report", "expression": "* * * * *"},
        definition_version=1,
        effective_from=NOON,
    )
    found.apply(event)
    return found


def trace(minute: int, **values: object) -> Trace:
    slot = NOON + minute * MINUTE
    run_id = run_id_for_slot("report", slot)
    made = Trace(run_id=run_id, cron="report", slot=slot, told_by=("redis",), has_job=True)
    return replace(made, **values)


def again(state: CronState, traces: list[Trace], until: int | None) -> list[Event]:
    end = None if until is None else NOON + until * MINUTE
    return decided_again(state, traces, end, actor="runner/1", now=NOON + 60 * MINUTE)


def told(events: list[Event]) -> list[tuple[str, int | None, int]]:
    return [
        (
            event.type.value,
            (event.scheduled_for - NOON) // MINUTE if event.scheduled_for else None,
            event.data.get("count", 1),
        )
        for event in events
    ]


@pytest.mark.parametrize(
    ("traces", "until", "expected"),
    [
        ([], None, []),
        ([], 0, []),
        ([], 3, [("slot_missed", 3, 3)]),
        ([2], 2, [("slot_missed", 1, 1), ("slot_fired", 2, 1)]),
        ([1, 2], 2, [("slot_fired", 1, 1), ("slot_fired", 2, 1)]),
        (
            [5, 2],
            7,
            [
                ("slot_missed", 1, 1),
                ("slot_fired", 2, 1),
                ("slot_missed", 4, 2),
                ("slot_fired", 5, 1),
                ("slot_missed", 7, 2),
            ],
        ),
        ([9], 2, [("slot_missed", 2, 2), ("run_requested", 9, 1)]),
    ],
)
def test_slots_with_a_trace_have_fired_and_the_others_are_missed(state, traces, until, expected):
    events = again(state, [trace(minute) for minute in traces], until)
    assert told(events) == expected
    assert [event.version for event in events] == list(range(2, len(events) + 2))
    assert {e.reason for e in events if e.type == "slot_missed"} <= {"decision_lost"}


def test_a_month_of_lost_slots_is_counted_and_not_walked_over(state):
    (missed,) = again(state, [], 31 * 24 * 60)
    assert missed.data["count"] == 31 * 24 * 60


def test_a_slot_that_is_decided_or_was_never_promised_is_a_request(state):
    state.watermark = NOON + 5 * MINUTE
    between = NOON + 8 * MINUTE + timedelta(seconds=7)
    odd = trace(0, slot=between, run_id=run_id_for_slot("report", between))
    by_hand = trace(0, slot=None, run_id=BY_HAND)
    events = again(state, [trace(4), odd, by_hand], 8)
    assert [event.type.value for event in events] == ["slot_missed"] + ["run_requested"] * 3
    assert {event.data.get("trigger") for event in events[1:]} == {"recovered"}
    assert {event.run_id for event in events[1:]} == {trace(4).run_id, odd.run_id, BY_HAND}


def test_the_event_says_what_told_of_it_and_when_it_was_decided(state):
    decided_at = NOON + MINUTE + timedelta(seconds=4)
    job = {"status": "finished", "created_at": decided_at.isoformat()}
    found = trace(1, decided_at=decided_at, job=job) | trace(
        1, told_by=("log",), has_job=False, outcome="run_succeeded"
    )
    (event,) = again(state, [found], 1)
    assert event.data["lateness_seconds"] == 4.0
    assert event.data["recovered"] == {"from": ["log", "redis"], **job, "outcome": "run_succeeded"}
    state.apply(event)
    assert not state.open_runs


def test_a_run_that_is_not_known_to_have_ended_is_open_since_its_job_was_made(state):
    made_at = NOON + MINUTE
    (event,) = again(state, [trace(1, job={"created_at": made_at.isoformat()})], 1)
    state.apply(event)
    (run,) = state.open_runs.values()
    assert run.requested_at == made_at


def test_lost_decisions_reach_as_far_as_memory_or_a_trace_tells(state):
    now = NOON + 10 * MINUTE
    known = CronState("report", watermark=NOON + 3 * MINUTE)
    by_hand = trace(9, run_id=BY_HAND)
    assert decided_until(None, [], now) is None
    assert decided_until(None, [by_hand], now) is None
    assert decided_until(known, [trace(1)], now) == NOON + 3 * MINUTE
    assert decided_until(known, [trace(5), trace(30)], now) == NOON + 5 * MINUTE
