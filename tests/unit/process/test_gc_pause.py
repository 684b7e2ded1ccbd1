"""Collection stays off while any batch is under way; a runner's waits until nothing is due."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rqcron_events import clock
from rqcron_events.process.gc_pause import IdleCollector, collection_paused


def test_batches_of_two_threads_that_overlap_leave_collection_as_it_was():
    assert gc.isenabled()
    first, second = ExitStack(), ExitStack()
    first.enter_context(collection_paused())
    second.enter_context(collection_paused())
    first.close()
    assert not gc.isenabled()
    second.close()
    assert gc.isenabled()


def test_who_turned_collection_off_finds_it_off():
    gc.disable()
    try:
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


class Node:
    """Refers to itself, so that only a collection ends it."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def collector() -> Iterator[IdleCollector]:
    collector = IdleCollector()
    collector.start()
    yield collector
    collector.stop()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def cycles(number: int) -> weakref.ref[Node]:
    nodes = [Node() for _ in range(number)]
    return weakref.ref(nodes[0])


def test_cycles_are_looked_for_while_nothing_is_due(collector: IdleCollector) -> None:
    found = cycles(collector.YOUNG_OBJECTS_MIN * 2)
    assert found() is not None, "Python itself collects nothing any more"
    collector._young_seconds = 1.0
    assert collector.collect(1.5) == 0
    assert found() is not None, "something is due sooner than twice what it may take"
    assert collector.collect(2.0) > 0
    assert found() is None


def test_a_few_cycles_are_not_worth_a_look(collector: IdleCollector) -> None:
    found = cycles(1)
    assert collector.collect(60.0) == 0
    assert found() is not None


def test_a_process_that_is_never_idle_does_not_grow_for_ever(
    collector: IdleCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IdleCollector, "YOUNG_OBJECTS_MAX", 10_000)
    collector._young_seconds = 1.0
    found = cycles(collector.YOUNG_OBJECTS_MAX)
    assert collector.collect(0.0) > 0
    assert found() is None


@pytest.mark.parametrize(
    ("idle_seconds", "after_seconds", "is_full"),
    [(2.0, 1, False), (2.0, 61, True), (1.0, 61, False), (1.0, 600, False), (0.0, 901, True)],
)
def test_a_full_collection_waits_for_an_idle_time(
    collector: IdleCollector, idle_seconds: float, after_seconds: float, is_full: bool
) -> None:
    node = Node()
    gc.collect()  # it is old by now
    found = weakref.ref(node)
    del node
    collector._full_seconds = 1.0
    collector._full_at = clock.monotonic_seconds() - after_seconds
    collector.collect(idle_seconds)
    assert (found() is None) == is_full
