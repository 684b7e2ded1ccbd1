"""An event goes in after its predecessor only: versions have no gaps, whatever a writer remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import transaction

from rqcron_events.core.events import Event
from rqcron_events.errors import PredecessorMissing, VersionConflict
from rqcron_events.ledger import store
from rqcron_events.ledger.optimistic import append_optimistically

from .writing import MANY, event, events

pytestmark = pytest.mark.django_db


def versions(stream: str = "cron/alpha") -> list[int]:
    return [item.version for item in store.read_stream(stream)]


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_events_without_their_predecessor_are_refused_whole(count: int):
    store.append([event(version=1)])
    with pytest.raises(PredecessorMissing, match=r"'cron/alpha' has no version 4") as refused:
        store.append([event("cron/beta"), *events(count=count, first=5)])
    assert isinstance(refused.value, VersionConflict)
    assert (refused.value.stream, refused.value.version) == ("cron/alpha", 5)
    assert versions() == [1] and versions("cron/beta") == []


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_events_after_their_predecessor_are_written(count: int):
    store.append(events(count=4))
    store.append([event("cron/beta"), *events(count=count, first=5)])
    assert versions() == list(range(1, count + 5))


@pytest.mark.parametrize("per_batch", [1, 2])
@pytest.mark.parametrize("batches", [1, MANY])
def test_of_independent_batches_only_that_one_is_refused(batches: int, per_batch: int):
    good = [events(f"cron/good-{n}", per_batch) for n in range(batches)]
    ghost = events("cron/ghost", per_batch, first=7)
    result = store.append_batches([*good, ghost], durable=False)
    assert result.refused == [ghost] and len(result.accepted) == batches and not result.unfit
    assert versions("cron/ghost") == [] and versions("cron/good-0") == versions("cron/good-0")


def test_predecessors_may_come_in_the_same_batch_in_any_order():
    one, two, three = events(count=3)
    store.append([three, one, two])
    assert versions() == [1, 2, 3]


def test_a_predecessor_that_was_written_in_the_same_transaction_is_there():
    with transaction.atomic():
        store.append(events(count=2))
        store.append(events(count=2, first=3))
        store.append(events(count=MANY, first=5))
    assert versions() == list(range(1, MANY + 5))


def test_who_remembers_what_is_gone_reads_again_and_builds_again():
    store.append([event(version=1)])
    reads: list[int] = []

    def read() -> int:
        reads.append(1)
        return len(versions())

    def build(known: int) -> list[Event]:
        return [event(version=known + 1, reason=f"after {known}")]

    build_: Callable[[int], list[Event]] = build
    append_optimistically(read, build_, known=5)
    assert reads == [1] and versions() == [1, 2]


def test_what_is_appended_as_the_next_needs_no_guess():
    store.append_next([replace(event(), version=9)])
    assert versions() == [1]
