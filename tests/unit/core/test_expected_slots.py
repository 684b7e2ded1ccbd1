"""Which slots the definitions in force promised, whatever was decided about them."""

from __future__ import annotations

import pytest

from rqcron_events.core.expected_slots import promised, promises, slots_around
from tests.unit.history import History, at, clock_text


def a_morning() -> History:
    """Every ten minutes from 09:00; from 09:25 at :07 and :37; gone at 10:00, back at 10:30."""
    history = History()
    history.register(at("09:00"))
    history.pause(at("09:05"))
    history.register(at("09:25"), schedule="7,37 * * * *")
    history.retire(at("10:00"))
    history.register(at("10:30"), schedule="7,37 * * * *")
    return history


def slots(after: str, until: str) -> list[tuple[str, int]]:
    stretches = promises(a_morning().state.phases)
    return [
        (clock_text(slot.at), slot.definition_version)
        for slot in promised(stretches, at(after), at(until))
    ]


def test_a_stretch_is_one_definition_in_force_and_pauses_do_not_split_it():
    stretches = promises(a_morning().state.phases)
    assert [
        (clock_text(item.start), item.end and clock_text(item.end), item.schedule is not None)
        for item in stretches
    ] == [
        ("09:00", "09:25", True),
        ("09:25", "10:00", True),
        ("10:00", "10:30", False),
        ("10:30", None, True),
    ]


def test_each_definition_promises_its_own_slots_and_a_retired_cron_none():
    assert slots("08:00", "11:10") == [
        ("09:10", 1),
        ("09:20", 1),
        ("09:37", 2),
        ("10:37", 3),
        ("11:07", 3),
    ]


@pytest.mark.parametrize(
    ("after", "until", "expected"),
    [
        ("09:10", "09:20", ["09:20"]),  # later than the first, up to and with the second
        ("09:09", "09:19", ["09:10"]),
        ("10:00", "10:36", []),
        ("09:20", "09:20", []),
        ("09:30", "09:10", []),
    ],
)
def test_the_end_of_a_window_is_in_it_and_its_start_is_not(after, until, expected):
    assert [clock for clock, _ in slots(after, until)] == expected


@pytest.mark.parametrize(
    ("instant", "before", "after"),
    [
        ("08:00", None, "09:10"),
        ("09:10", None, "09:20"),
        ("09:11", "09:10", "09:20"),
        ("09:22", "09:20", "09:37"),  # the old definition's 09:30 was never promised
        ("10:15", "09:37", "10:37"),
        ("10:37", "09:37", "11:07"),
    ],
)
def test_the_slots_around_an_instant_are_promised_ones(instant, before, after):
    found = slots_around(promises(a_morning().state.phases), at(instant))
    assert [item and clock_text(item) for item in found] == [before, after]


def test_a_stretch_covers_what_it_can_promise():
    first, *_, last = promises(a_morning().state.phases)
    clocks = ["09:00", "09:10", "09:25", "09:26", "10:30", "23:00"]
    assert [clock for clock in clocks if first.covers(at(clock))] == ["09:10", "09:25"]
    assert [clock for clock in clocks if last.covers(at(clock))] == ["23:00"]


def test_nothing_is_promised_by_a_cron_that_was_never_registered():
    assert promises([]) == []
    assert slots_around([], at("09:00")) == (None, None)


def test_a_period_is_walked_like_an_expression():
    history = History()
    history.register(at("09:00"), schedule="", every_seconds=1_200)
    stretches = promises(history.state.phases)
    found = [clock_text(slot.at) for slot in promised(stretches, at("09:00"), at("10:00"))]
    assert found == ["09:20", "09:40", "10:00"]
