"""Stretches are what walking over every slot would find, told by their ends and their number."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core.definition import CatchUp
from rqcron_events.core.schedule import slots_between
from rqcron_events.core.stretches import FEW, due_stretches, late_bound, newest_apart
from tests.examples import examples
from tests.unit.history import History, at, definition, minutes

SCHEDULES = ("* * * * *", "*/7 9-17 * * 1-5", "30 2 * * *", "0 0 1 * *", "*/10 0 * * * *")


def begun(schedule: str = "* * * * *", **options: object) -> History:
    history = History()
    history.register(at("03-02 09:00"), schedule=schedule, **options)
    return history


def found(history: History, now: str, late_after: timedelta | None = None):
    return due_stretches(history.state, at(now), all_paused=history.pauses, late_after=late_after)


@settings(max_examples=examples(40), deadline=None)
@given(st.sampled_from(SCHEDULES), st.integers(0, 20_000), st.integers(0, 200))
def test_they_hold_every_slot_and_the_newest_can_be_set_apart(
    schedule: str, downtime: int, count: int
) -> None:
    history = begun(schedule, timezone="Europe/Berlin")
    start, now = at("03-02 09:00"), at("03-02 09:00") + minutes(downtime)
    every = list(
        slots_between(
            definition(schedule, timezone="Europe/Berlin").schedule, start, now, 2_000_000
        )
    )
    parts = due_stretches(history.state, now, all_paused=history.pauses, late_after=None)
    if len(every) <= FEW:
        assert [(part.first, part.last, part.slots) for part in parts] == [
            (slot, slot, 1) for slot in every
        ]
        return
    (part,) = parts
    assert (part.first, part.last, part.slots) == (every[0], every[-1], len(every))
    older, newest = every[: max(len(every) - count, 0)], every[-count:] if count else []
    apart = [(slot, slot, 1) for slot in newest]
    expected = [(older[0], older[-1], len(older)), *apart] if older else apart
    assert [(p.first, p.last, p.slots) for p in newest_apart(part, count)] == expected


def test_each_pause_begins_and_ends_a_stretch() -> None:
    history = begun()
    history.pause(at("03-03 09:00"), until=at("03-04 09:00"))
    history.pause_all(at("03-05 09:00"), until=at("03-06 09:00"))
    assert [(part.first, part.last) for part in found(history, "03-20 09:00")] == [
        (at("03-02 09:01"), at("03-03 09:00")),
        (at("03-03 09:01"), at("03-04 09:00")),
        (at("03-04 09:01"), at("03-05 09:00")),
        (at("03-05 09:01"), at("03-06 09:00")),
        (at("03-06 09:01"), at("03-20 09:00")),
    ]


def test_where_slots_begin_to_be_too_late_a_stretch_ends() -> None:
    first, second = found(begun(), "03-20 09:00", late_after=timedelta(days=1))
    assert first.last == at("03-19 08:59")
    assert second.first == at("03-19 09:00")


def test_its_own_delay_may_save_the_last_of_the_slots_that_would_be_too_late() -> None:
    saved = set()
    for hour in range(40):
        history = begun("*/30 * * * * *", jitter_seconds=30.0)
        now = at("03-20 09:00") + timedelta(hours=hour, seconds=15)
        bound = now - timedelta(days=1)
        parts = due_stretches(
            history.state, now, all_paused=history.pauses, late_after=timedelta(days=1)
        )
        last = parts[0].last
        delay = parts[0].definition.delay
        assert last + delay(last) < bound <= parts[1].first + delay(parts[1].first)
        saved.add(parts[1].first < bound)
    assert saved == {True, False}


def test_the_newest_is_left_while_its_delay_lasts() -> None:
    history = begun("0 * * * *", jitter_seconds=3600.0)
    delay = definition("0 * * * *", jitter_seconds=3600.0).delay(at("04-20 09:00"))
    before, after = (
        due_stretches(
            history.state,
            at("04-20 09:00") + delay + more,
            all_paused=history.pauses,
            late_after=None,
        )
        for more in (timedelta(microseconds=-1), timedelta(0))
    )
    assert (before[-1].last, after[-1].last) == (at("04-20 08:00"), at("04-20 09:00"))
    assert sum(part.slots for part in after) - sum(part.slots for part in before) == 1


def test_a_cron_that_was_retired_in_between_has_none_there() -> None:
    history = begun()
    history.retire(at("03-03 09:00"))
    history.register(at("03-05 09:00"), schedule="* * * * *")
    parts = found(history, "03-20 09:00")
    assert [(part.first, part.last) for part in parts] == [
        (at("03-02 09:01"), at("03-03 09:00")),
        (at("03-05 09:01"), at("03-20 09:00")),
    ]


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({}, None),
        ({"catch_up": CatchUp.NONE}, 10),
        ({"max_lateness_seconds": 5.0}, 5),
        ({"catch_up": CatchUp.NONE, "max_lateness_seconds": 60.0}, 10),
    ],
)
def test_how_late_a_slot_may_be(options: dict, bound: float | None) -> None:
    late = late_bound(definition(**options), grace=timedelta(seconds=10))
    assert late == (None if bound is None else timedelta(seconds=bound))
