"""Which cron is looked at next: those that came due last, and none waits for ever."""

from __future__ import annotations

from itertools import islice

from rqcron_events.runner.due_queue import Agenda
from tests.unit.history import at, minutes

NOON = at("12:00")


def agenda(**due: str) -> Agenda:
    found = Agenda()
    for name, when in due.items():
        found.set(name, at(when))
    return found


def test_what_came_due_last_is_taken_first() -> None:
    found = agenda(old="03-01 00:00", new="11:59", older="02-01 00:00", later="12:01")
    assert list(found.take(NOON)) == ["new", "old", "older"]
    assert list(found.take(NOON)) == []
    assert list(found.take(at("12:01"))) == ["later"]


def test_what_is_left_waits_behind_what_comes_due() -> None:
    found = agenda(a="10:00", b="11:00", c="11:30")
    assert list(islice(found.take(NOON), 1)) == ["c"]
    found.set("d", at("12:00"))
    assert list(islice(found.take(NOON), 1)) == ["d"]
    assert found.take_oldest() == "a"
    assert list(found.take(NOON)) == ["b"]
    assert found.take_oldest() is None


def test_what_is_set_meanwhile_is_left_to_the_next_look() -> None:
    found = agenda(a="11:00", b="10:00")
    taken = []
    for name in found.take(NOON):
        taken.append(name)
        found.set(name, at("10:30"))
        assert len(taken) < 5
    assert taken == ["a", "b"]
    assert found.is_due(NOON)


def test_the_newest_word_on_a_cron_counts() -> None:
    found = agenda(a="11:00", b="11:00", c="11:00")
    assert found.is_due(NOON)
    found.set("a", at("13:00"))
    found.set("b", None)
    assert list(found.take(NOON)) == ["c"]
    assert not found.is_due(NOON)
    assert found.seconds_until_next(NOON, at_most=30) == 30
    assert found.seconds_until_next(at("12:59"), at_most=300) == 60
    assert found.seconds_until_next(at("13:00") + minutes(1), at_most=30) == 0
    assert Agenda().seconds_until_next(NOON, at_most=7) == 7
