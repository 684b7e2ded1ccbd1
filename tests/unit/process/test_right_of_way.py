"""Threads beside the one that decides leave it the interpreter when a slot comes due."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rqcron_events import clock
from rqcron_events.process.right_of_way import RightOfWay

FOREVER = 60.0


@pytest.fixture
def way(monkeypatch) -> RightOfWay:
    """The deciding thread never comes late enough to be given up."""
    monkeypatch.setattr(RightOfWay, "DECIDING_SECONDS", FOREVER)
    return RightOfWay()


def _waits(way: RightOfWay, goes_on: Callable[[], None] | None) -> bool:
    """Whether a piece of 0.4 s waits, until ``goes_on`` is called."""
    thread = threading.Thread(target=way.give, args=(0.4,), daemon=True)
    thread.start()
    thread.join(0.3)
    waits = thread.is_alive()
    if goes_on is not None:
        goes_on()
        thread.join(FOREVER)
        assert not thread.is_alive()
    return waits


@pytest.mark.parametrize(
    ("due_in", "waits"),
    [(None, False), (FOREVER, False), (0.2, True), (0.0, True), (-FOREVER - 1, False)],
)
def test_who_would_be_in_the_way_waits(way, due_in: float | None, waits: bool):
    if due_in is not None:
        way.due_in(due_in)
    assert _waits(way, (lambda: way.due_in(1)) if waits else None) is waits


def test_what_is_on_time_ends_the_wait(way):
    way.due_in(0)
    assert _waits(way, way.open)


def test_who_decides_and_does_not_come_back_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(RightOfWay, "DECIDING_SECONDS", 0.01)
    way = RightOfWay()
    way.due_in(0.01)
    way.give(FOREVER)  # comes back


def test_a_long_piece_is_not_put_off_for_ever(monkeypatch):
    """There is always a slot within its length."""
    monkeypatch.setattr(RightOfWay, "PIECE_SECONDS_MAX", 0.1)
    way = RightOfWay()
    way.due_in(FOREVER)
    began_at = clock.monotonic_seconds()
    way.give(FOREVER)
    assert clock.monotonic_seconds() - began_at < FOREVER
