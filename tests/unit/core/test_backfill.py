"""Which past slots a backfill runs, and which it leaves out."""

from __future__ import annotations

from uuid import UUID

import pytest

from rqcron_events.core.backfill import (
    Attempt,
    PastSlot,
    SlotState,
    backfill_run_id,
    judge,
    past_slots,
)
from rqcron_events.core.events import EventType
from tests.unit.history import NAME, History, at, clock_text

FAILED, SUCCEEDED, DECLINED = (
    EventType.RUN_FAILED,
    EventType.RUN_SUCCEEDED,
    EventType.RUN_DECLINED,
)


def slots(history: History, start: str, end: str, limit: int = 100) -> list[tuple[str, int, bool]]:
    return [
        (clock_text(item.slot), item.definition_version, item.before_registration)
        for item in past_slots(history.state, at(start), at(end), limit)
    ]


def test_slots_are_those_of_the_definition_that_was_in_force():
    history = History()
    history.register(at("09:00"), schedule="*/10 * * * *")
    history.register(at("09:25"), schedule="*/15 * * * *")
    assert slots(history, "09:00", "10:00") == [
        ("09:00", 2, True),  # at the registration: not promised yet
        ("09:10", 1, False),
        ("09:20", 1, False),
        ("09:30", 2, False),
        ("09:45", 2, False),
    ]


def test_before_the_registration_slots_are_those_of_today():
    history = History()
    history.register(at("09:00"), schedule="*/10 * * * *")
    history.register(at("09:25"), schedule="*/15 * * * *")
    assert slots(history, "08:00", "08:40") == [
        ("08:00", 2, True),
        ("08:15", 2, True),
        ("08:30", 2, True),
    ]


def test_a_retired_cron_had_no_slots_and_a_pause_changes_none():
    history = History()
    history.register(at("09:00"))
    history.pause(at("09:05"))
    history.retire(at("09:15"))
    history.register(at("09:35"))
    assert [text for text, _, _ in slots(history, "09:01", "10:00")] == ["09:10", "09:40", "09:50"]


def test_the_range_includes_its_start_and_not_its_end_and_is_bounded():
    history = History()
    history.register(at("00:00"))
    assert [text for text, _, _ in slots(history, "09:10", "09:30")] == ["09:10", "09:20"]
    assert len(slots(history, "09:00", "20:00", limit=7)) == 7


def attempt(number: int, outcome: EventType | None, *, ours: bool = False) -> Attempt:
    return Attempt(run_id=UUID(int=number), ours=ours, outcome=outcome)


ID = backfill_run_id(NAME, at("09:10"))


@pytest.mark.parametrize(
    ("attempts", "label", "state", "run_id"),
    [
        ([], "", SlotState.TO_RUN, ID),
        ([attempt(1, SUCCEEDED)], "", SlotState.DONE, UUID(int=1)),
        ([attempt(1, DECLINED)], "", SlotState.DONE, UUID(int=1)),
        ([attempt(1, FAILED), attempt(2, SUCCEEDED)], "", SlotState.DONE, UUID(int=2)),
        ([attempt(1, FAILED)], "", SlotState.TO_RUN, ID),
        ([attempt(1, None)], "", SlotState.ACTIVE, UUID(int=1)),
        ([attempt(1, None, ours=True)], "", SlotState.OPEN, UUID(int=1)),
        (
            [attempt(1, FAILED, ours=True)],
            "",
            SlotState.TO_RUN,
            backfill_run_id(NAME, at("09:10"), "", 1),
        ),
        (
            [attempt(1, SUCCEEDED)],
            "again",
            SlotState.TO_RUN,
            backfill_run_id(NAME, at("09:10"), "again"),
        ),
        ([attempt(1, SUCCEEDED, ours=True)], "again", SlotState.DONE, UUID(int=1)),
    ],
)
def test_what_is_done_about_a_slot(attempts, label: str, state: SlotState, run_id: UUID):
    past = PastSlot(slot=at("09:10"), definition_version=1)
    found = judge(NAME, past, attempts, at("09:10"), label)
    assert (found.state, found.run_id) == (state, run_id)


def test_a_slot_that_is_not_decided_yet_is_left_to_the_runner():
    past = PastSlot(slot=at("09:10"), definition_version=1)
    assert judge(NAME, past, [], at("09:09"), "").state is SlotState.UNDECIDED
    assert judge(NAME, past, [], None, "").state is SlotState.UNDECIDED
    early = PastSlot(slot=at("09:10"), definition_version=1, before_registration=True)
    assert judge(NAME, early, [], None, "").state is SlotState.TO_RUN
