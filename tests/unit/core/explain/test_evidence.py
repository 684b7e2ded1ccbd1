"""What follows from the recorded evidence, before anything is put into words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rqcron_events.core.events import DECISIONS, DEFINITION_TYPES, Reason
from rqcron_events.core.explain.evidence import Evidence, is_promised, phase_at, version_start
from tests.unit.history import History, at


def history() -> History:
    past = History()
    past.register(at("08:55"))
    past.decide(at("09:00"))
    return past


def evidence(past: History, clock: str, now: str = "09:01") -> Evidence:
    """As the loader makes it, with ids in the order of the log."""
    events = [replace(event, id=number) for number, event in enumerate(past.events, 1)]
    decided = (e for e in events if e.type in DECISIONS and e.scheduled_for == at(clock))
    return Evidence(
        state=past.state,
        at=at(clock),
        now=at(now),
        decision=next(decided, None),
        definition_events=[event for event in events if event.type in DEFINITION_TYPES],
    )


@pytest.mark.parametrize(
    ("clock", "now", "is_slot", "is_overdue"),
    [
        ("09:00", "09:01", True, False),
        ("09:05", "09:06", False, False),
        ("09:10", "09:06", True, False),
        ("09:10", "09:11", True, True),
    ],
)
def test_a_slot_is_overdue_when_it_has_come_and_is_not_decided(
    clock: str, now: str, is_slot: bool, is_overdue: bool
) -> None:
    found = evidence(history(), clock, now)
    assert (found.is_slot, found.is_overdue, found.is_unaccounted) == (is_slot, is_overdue, False)


def test_a_slot_before_the_watermark_without_a_decision_is_unaccounted() -> None:
    past = history()
    past.decide(at("09:20"))
    found = replace(evidence(past, "09:10", "09:30"), decision=None)
    assert (found.is_unaccounted, found.is_overdue) == (True, False)


def test_the_pause_of_the_cron_goes_before_that_of_everything() -> None:
    past = history()
    past.pause(at("09:02"), reason="own")
    found = evidence(past, "09:10", "09:03")
    assert found.pause_ahead is not None
    assert (found.pause_ahead[0], found.pause_ahead[1].reason) == (Reason.PAUSED, "own")


def test_a_phase_begins_after_its_instant_and_a_version_with_its_first_phase() -> None:
    past = history()
    past.pause(at("09:02"))
    state = past.state
    assert phase_at(state, at("08:55")) is None
    assert version_start(state, None) is None
    paused = phase_at(state, at("09:02") + timedelta(seconds=1))
    assert paused is not None
    assert paused.pause is not None
    assert version_start(state, paused) == at("08:55")


def test_nothing_is_promised_before_registration_nor_between_slots() -> None:
    state = history().state
    assert [is_promised(state, at(clock)) for clock in ("08:50", "09:00", "09:05")] == [
        False,
        True,
        False,
    ]
