"""Stretches are what walking over every slot would find, told by their ends and their number."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core.definition import CatchUp
from rqcron_events.core.schedule import slots_between
from rqcron_events.core.stretches import late_bound, stretches
from tests.unit.history import History, at, definition, minutes

SCHEDULES = ("* * * * *", "*/7 9-17 * * 1-5", "30 2 * * *", "0 0 1 * *")


def begun(schedule: str = "* * * * *", **options: object) -> History:
    history = History()
    history.register(at("03-02 09:00"), schedule=schedule, **options)
    return history


def found(history: History, now: str, keep: int, late_after: timedelta | None = None):
    return stretches(
        history.state, at(now), all_paused=history.pauses, late_after=late_after, keep=keep
    )


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SCHEDULES), st.integers(10, 10_000), st.integers(1, 200))
def test_they_leave_at_least_what_is_to_be_kept_and_count_the_rest(
    schedule: str, downtime: int, keep: int
) -> None:
    history = begun(schedule)
    start, now = at("03-02 09:00"), at("03-02 09:00") + minutes(downtime)
    every = list(slots_between(definition(schedule).schedule, start, now, 2_000_000))
    parts = stretches(history.state, now, all_paused=history.pauses, late_after=None, keep=keep)
    counted = sum(part.slots for part in parts)
    assert not parts or len(every) - counted >= keep
    if parts:
        assert [part.first for part in parts] == [every[0]]
        assert parts[0].last == every[counted - 1]


def test_nothing_is_told_of_a_few_slots() -> None:
    assert found(begun(), "03-02 09:30", keep=100) == []


def test_each_pause_begins_and_ends_a_stretch() -> None:
    history = begun()
    history.pause(at("03-03 09:00"), until=at("03-04 09:00"))
    history.pause_all(at("03-05 09:00"), until=at("03-06 09:00"))
    parts = found(history, "03-20 09:00", keep=10)
    assert [(part.first, part.last) for part in parts[:-1]] == [
        (at("03-02 09:01"), at("03-03 09:00")),
        (at("03-03 09:01"), at("03-04 09:00")),
        (at("03-04 09:01"), at("03-05 09:00")),
        (at("03-05 09:01"), at("03-06 09:00")),
    ]


def test_where_slots_begin_to_be_too_late_a_stretch_ends() -> None:
    first, *_ = found(begun(), "03-20 09:00", keep=10, late_after=timedelta(days=1))
    assert first.last == at("03-19 08:59")


def test_slots_that_their_jitter_could_save_are_left_to_be_looked_at_one_by_one() -> None:
    history = begun(jitter_seconds=60.0)
    parts = found(history, "03-20 09:00", keep=10, late_after=timedelta(days=1))
    assert parts[-1].last <= at("03-19 08:59")


def test_a_cron_that_was_retired_in_between_has_none_there() -> None:
    history = begun()
    history.retire(at("03-03 09:00"))
    history.register(at("03-05 09:00"), schedule="* * * * *")
    parts = found(history, "03-20 09:00", keep=10)
    assert [part.last for part in parts[:1]] == [at("03-03 09:00")]
    assert parts[1].first == at("03-05 09:01")


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
