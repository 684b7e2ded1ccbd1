"""A stretch of slots is whole when one definition promised that many between its ends."""

from __future__ import annotations

import pytest

from rqcron_events.core.audit.tally import Tally, is_whole_stretch
from rqcron_events.core.expected_slots import Slot, promises
from tests.unit.history import History, at


@pytest.mark.parametrize(
    ("first", "last", "slots", "whole"),
    [
        ("09:10", "10:00", 6, True),
        ("09:10", "10:00", 5, False),
        ("09:10", "10:01", 6, False),  # no slot at its end
        ("09:10", "11:05", 11, False),  # two definitions
        ("12:10", "12:20", 2, False),  # retired
    ],
)
def test_a_stretch_is_whole(first: str, last: str, slots: int, whole: bool) -> None:
    history = History()
    history.register(at("09:00"), schedule="*/10 * * * *")
    history.register(at("11:00"), schedule="5,15 * * * *")
    history.retire(at("12:00"))
    assert is_whole_stretch(promises(history.state.phases), at(first), at(last), slots) is whole


def test_a_tally_notes_the_first_slot_that_another_definition_promised() -> None:
    tally = Tally(1)
    for minute, version in ((10, 1), (20, 2), (30, 3)):
        tally.add(Slot(at(f"09:{minute}"), version))
    assert (tally.count, tally.first, tally.last) == (3, at("09:10"), at("09:30"))
    assert tally.other == Slot(at("09:20"), 2)
