"""What is finished in the log is sealed once, however it is interrupted."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import connection

from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.core.seal.merkle import Frontier, leaf_hash
from rqcron_events.errors import SealBroken
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSeal, CronTile, SealProgress
from rqcron_events.seals import courier, follower, sealer
from rqcron_events.seals.sealer import seal_next
from tests.conformance.writing import OpenTransaction
from tests.sealing import (
    KEY,
    NAME,
    execute,
    fire,
    gap,
    history,
    ids,
    run_of,
    seal,
    seal_in_parts,
    verified,
)


def root_of_the_log(count: int) -> bytes:
    known = Frontier()
    for row in backend_of(connection).read(connection, 0, None, count):
        known.push(leaf_hash(leaf(row)))
    return known.root()


def test_a_seal_says_how_many_events_up_to_which_and_is_signed():
    history("alpha")
    gap()
    fire("beta", 1)
    all_ids = ids()
    assert seal() == len(all_ids)
    [row] = CronSeal.objects.all()
    assert (row.size, row.last_id, row.previous) == (len(all_ids), all_ids[-1], 0)
    found = Checkpoint.opened(row.note, [KEY.verifier], NAME)
    assert found == (NAME, len(all_ids), root_of_the_log(len(all_ids)))
    assert seal() == 0
    assert CronSeal.objects.count() == 1


def test_each_part_goes_on_where_the_last_one_ended():
    count = len(history("alpha", runs=10))
    assert seal_next(KEY, 7).size == 7
    seal_in_parts(13)
    sizes = [row.size for row in CronSeal.objects.all()]
    assert sizes == [*range(7, count, 13), count]
    assert [row.previous for row in CronSeal.objects.all()] == [0, *sizes[:-1]]
    for row in CronSeal.objects.all():
        assert bytes(row.root) == root_of_the_log(row.size)
    assert verified().ok


def test_an_empty_log_has_no_seal():
    assert seal() == 0
    assert not CronSeal.objects.exists()


def test_two_processes_at_once_seal_nothing_twice(monkeypatch: pytest.MonkeyPatch):
    history("alpha")

    def meanwhile(name: str) -> None:
        if name == "before_seal":
            monkeypatch.setattr(sealer, "reach", lambda _: None)
            assert seal_next(KEY, 5).size == 5

    monkeypatch.setattr(sealer, "reach", meanwhile)
    assert seal_next(KEY) is None
    assert [row.size for row in CronSeal.objects.all()] == [5]
    seal()
    assert verified().ok


@pytest.mark.django_db(transaction=True)
def test_what_is_being_written_is_sealed_once_it_is_there(postgresql: None):
    history("alpha", runs=1)
    with OpenTransaction(lambda: fire("beta", 1)):
        fire("gamma", 1)  # has higher ids, and is there first
        assert seal() == 0
    assert seal() == len(ids())
    assert verified().ok


def change_the_last_event() -> None:
    backend_of(connection).set_append_only(connection, False)
    execute(f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {ids()[-1]}")
    backend_of(connection).set_append_only(connection, True)


def test_nothing_is_sealed_on_top_of_what_was_changed():
    history("alpha")
    seal()
    change_the_last_event()
    fire("beta", 1)
    with pytest.raises(SealBroken, match="is not what it was when it was sealed"):
        seal()
    assert CronSeal.objects.count() == 1


def test_nothing_is_sealed_on_top_of_damaged_tiles():
    history("alpha")
    seal()
    tile = CronTile.objects.get()
    tile.hashes = b"\1" * 32 + bytes(tile.hashes)[32:]
    tile.save()
    fire("beta", 1)
    with pytest.raises(SealBroken, match="stored tiles do not belong"):
        seal()


def test_nothing_is_sealed_when_the_log_went_back():
    history("alpha")
    seal()
    backend_of(connection).set_append_only(connection, False)
    execute(f"DELETE FROM rqcron_event WHERE id > {ids()[2]}")
    backend_of(connection).set_append_only(connection, True)
    with pytest.raises(SealBroken, match=r"is not what it was|log went back"):
        seal()


@pytest.fixture
def due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "_next_at", float("-inf"))


def test_the_follower_seals_when_it_is_due(due: None, monkeypatch: pytest.MonkeyPatch):
    told: list[int] = []
    monkeypatch.setattr(follower, "wake", lambda: told.append(CronSeal.objects.count()))
    monkeypatch.setattr(follower, "PAGE_EVENTS", 5)
    monkeypatch.setattr(follower, "seal_next", lambda key: seal_next(key, 5))
    count = len(history("alpha"))
    assert count == 9
    assert follower.seal_when_due() == 5, "there is more, so it is called again at once"
    assert told == []
    assert follower.seal_when_due() == 0
    assert told == [2]
    fire("beta", 1)
    assert follower.seal_when_due() == 0
    assert CronSeal.objects.last().size == count, "a minute has not passed"
    assert SealProgress.objects.get(name="sealing").size == count


@pytest.mark.parametrize("off", [{"RQCRON_SEAL_KEY": ""}, {"RQCRON_SEAL_SECONDS": 0},
                                 {"RQCRON_SEAL_SECONDS": None}], ids=str)  # fmt: skip
def test_it_is_off_where_there_is_no_key_or_no_interval(
    due: None, settings: Any, off: dict[str, Any]
):
    history("alpha")
    for name, value in off.items():
        setattr(settings, name, value)
    assert follower.seal_when_due() == 0
    assert not CronSeal.objects.exists()


def test_the_follower_says_once_that_it_cannot_and_recovers(
    due: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(follower, "wake", list)
    history("alpha")
    follower.seal_when_due()
    tile = CronTile.objects.get()
    right = bytes(tile.hashes)
    CronTile.objects.update(hashes=right[:-32] + b"\1" * 32)
    for _ in range(3):
        monkeypatch.setattr(follower, "_next_at", float("-inf"))
        assert follower.seal_when_due() == 0
    said = [record for record in caplog.records if record.__dict__.get("action") == "seal_refused"]
    assert [record.levelno for record in said] == [logging.ERROR]
    assert SealProgress.objects.get(name="sealing").failing_since is not None
    CronTile.objects.update(hashes=right)
    monkeypatch.setattr(follower, "_next_at", float("-inf"))
    follower.seal_when_due()
    assert SealProgress.objects.get(name="sealing").failing_since is None


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, where nobody writes at the same time."""


def test_slots_and_runs_are_told_apart_in_the_history():
    history("alpha")
    assert CronEvent.objects.filter(run_id=run_of("alpha", 2)).count() == 4
    assert courier.wake() == [], "no receiver is set"
