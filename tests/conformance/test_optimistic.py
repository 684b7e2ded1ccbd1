"""Appending what rests on what is known: another writer makes it be read and built again."""

from __future__ import annotations

import pytest

from rqcron_events.core.events import Event
from rqcron_events.errors import VersionConflict
from rqcron_events.ledger import store
from rqcron_events.ledger.optimistic import append_optimistically

from .writing import event

pytestmark = pytest.mark.django_db

STREAM = "cron/one"


def head() -> int:
    return len(store.read_stream(STREAM))


def test_what_is_known_and_what_was_appended_come_back():
    store.append([event(STREAM)])
    known, appended = append_optimistically(head, lambda known: [event(STREAM, known + 1)])
    assert known == 1
    assert [item.version for item in appended] == [2]
    assert store.read_stream(STREAM)[-1].version == 2


def test_an_overtaken_writer_reads_and_builds_again():
    seen: list[int] = []

    def build(known: int) -> list[Event]:
        seen.append(known)
        if len(seen) < 3:
            store.append([event(STREAM, known + 1, reason="first")])
        return [event(STREAM, known + 1, reason=f"built on {known}")]

    append_optimistically(head, build, known=0)
    assert seen == [0, 1, 2]
    reasons = [item.reason for item in store.read_stream(STREAM)]
    assert reasons == ["first", "first", "built on 2"]


def test_a_writer_that_finds_nothing_left_to_say_appends_nothing():
    store.append([event(STREAM)])
    known, appended = append_optimistically(
        head, lambda known: [] if known else [event(STREAM)], known=0
    )
    assert (known, appended) == (1, [])
    assert head() == 1


def test_it_gives_up_after_twenty_tries():
    store.append([event(STREAM)])
    tries: list[int] = []

    def build(known: int) -> list[Event]:
        tries.append(known)
        return [event(STREAM)]

    with pytest.raises(VersionConflict, match="already has version 1"):
        append_optimistically(head, build)
    assert len(tries) == 20
