"""Which slots are left out after a rewind: tables of the rules."""

from __future__ import annotations

import pytest

from rqcron_events.core.events import make
from rqcron_events.core.interventions.rewind import (
    MOMENT,
    Kept,
    Rewind,
    around,
    is_kept,
    kept_before,
    kept_stretches,
)
from tests.unit.history import at, definition

KEPT = (Kept(at("10:00"), at("10:10")), Kept(at("10:30"), at("10:30")))


def test_slots_that_follow_one_another_are_one_stretch():
    schedule = definition(schedule="*/10 * * * *").schedule
    fired = [at("10:00"), at("10:10"), at("10:30")]
    assert tuple(kept_stretches(fired, schedule)) == KEPT
    assert kept_stretches(fired, None) == [Kept(slot, slot) for slot in fired]
    assert kept_stretches([], schedule) == []


@pytest.mark.parametrize(
    ("after", "until", "parts"),
    [
        ("09:00", "09:30", [("09:00", "09:30")]),
        ("10:05", "10:10", []),
        ("10:10", "10:20", [("10:10", "10:20")]),
        ("10:30", None, [("10:30", None)]),
        ("10:30", "10:30", []),
    ],
)
def test_what_is_around_a_stretch(after, until, parts):
    found = around(KEPT, at(after), at(until) if until else None)
    assert found == [(at(first), at(last) if last else None) for first, last in parts]


def test_stretches_are_left_out_and_nothing_else():
    assert around(KEPT, at("09:50"), None) == [
        (at("09:50"), at("10:00") - MOMENT),
        (at("10:10"), at("10:30") - MOMENT),
        (at("10:30"), None),
    ]


def test_one_decision_does_not_reach_over_what_is_kept():
    assert [kept_before(KEPT, at(text)) for text in ("09:50", "10:20", "10:40")] == [0, 1, 2]
    assert [is_kept(KEPT, at(text)) for text in ("10:00", "10:05", "10:20")] == [True, True, False]


def test_a_rewind_is_what_its_event_says():
    event = make.cron_rewound(
        cron="alpha",
        version=7,
        effective_from=at("09:45"),
        watermark=at("11:00"),
        kept=KEPT,
        reason="",
        actor="ann",
        at=at("09:46"),
    )
    assert Rewind.of(event) == Rewind(7, at("09:45"), KEPT)
