"""``verify``: what it reads, what it remembers, what it says. What it finds of attacks: test_attacks."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from rqcron_events import clock
from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.note import new_signer
from rqcron_events.errors import CronConfigError
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronSeal, CronText, CronTile, SealProgress
from rqcron_events.operations.redact import Wanted, expire_texts, redact
from rqcron_events.seals import verify as verify_module
from rqcron_events.seals.difference import Kind
from rqcron_events.seals.tiles_again import make_tiles_again
from rqcron_events.seals.walk import Walk
from tests.sealing import (
    KEY,
    NAME,
    execute,
    fire,
    gap,
    history,
    ids,
    keep_outside,
    run_of,
    seal,
    seal_in_parts,
    verified,
)


def change(event_id: int) -> None:
    backend_of(connection).set_append_only(connection, False)
    execute(f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {event_id}")
    backend_of(connection).set_append_only(connection, True)


def change_back(event_id: int) -> None:
    backend_of(connection).set_append_only(connection, False)
    execute(f"UPDATE rqcron_event SET actor = 'worker/w' WHERE id = {event_id}")
    backend_of(connection).set_append_only(connection, True)


def kinds(found: Any) -> list[Kind]:
    return [finding.kind for finding in found.findings]


def test_an_honest_log_is_right_whatever_its_tiles_and_seals_are_like(tmp_path: Path):
    history("alpha", runs=70)
    gap()
    seal_in_parts(97)
    keep_outside(tmp_path)
    fire("beta", 1)
    seal_in_parts(2)
    keep_outside(tmp_path)
    fire("gamma", 1)
    found = verified(tmp_path)
    assert found.ok
    assert (found.sealed_events, found.checked_events, found.checked_from) == (286, 286, 0)
    assert found.seals == 6
    assert found.checkpoints == 2, "the newest one stands there twice"
    assert found.unsealed_events == 5
    assert found.unsealed_since is not None
    assert found.to_data()["ok"] is True


def test_it_goes_on_where_it_found_all_right():
    history("alpha", runs=3)
    seal()
    first = verified(all_=False)
    assert (first.checked_from, first.checked_events) == (0, 13)
    history("beta", runs=3)
    seal()
    second = verified(all_=False)
    assert (second.checked_from, second.checked_events, second.ok) == (13, 13, True)
    third = verified(all_=False)
    assert (third.checked_from, third.checked_events, third.ok) == (26, 0, True)
    assert verified().checked_events == 26


def test_what_is_interrupted_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify_module, "REMEMBER_EVENTS", 10)
    history("alpha", runs=10)
    seal_in_parts(10)
    true_step, steps = Walk._step, []

    def step(*args: Any) -> Any:
        steps.append(args)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return true_step(*args)

    monkeypatch.setattr(Walk, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        verified()
    found = verified(all_=False)
    assert (found.checked_from, found.checked_events, found.ok) == (30, 11, True)


def test_after_a_finding_all_is_read_again_until_it_is_right():
    history("alpha")
    seal()
    assert verified().ok
    change(ids()[3])
    assert verified(all_=False).ok, "what was right before is not read again"
    found = verified()
    assert kinds(found) == [Kind.DIFFERS]
    row = SealProgress.objects.get(name="verify")
    assert row.failing_since is not None
    assert f"Event {ids()[3]} " in row.told
    again = verified(all_=False)
    assert (again.checked_from, kinds(again)) == (0, [Kind.DIFFERS])
    assert SealProgress.objects.get(name="verify").failing_since == row.failing_since


def test_it_can_leave_no_trace():
    history("alpha")
    seal()
    change(ids()[3])
    assert not verified(remember=False).ok
    assert not SealProgress.objects.exists()


def test_a_seal_that_is_made_meanwhile_is_left_to_the_next_one(monkeypatch: pytest.MonkeyPatch):
    history("alpha")
    seal()
    before = CronSeal.objects.get()
    fire("alpha", 3)
    seal()
    monkeypatch.setattr(verify_module, "newest_seal", lambda: before)
    found = verified()
    assert (found.ok, found.sealed_events, found.seals) == (True, 9, 1)


def test_nothing_sealed_is_no_proof():
    history("alpha")
    assert kinds(verified()) == [Kind.NOT_SEALED]
    assert not SealProgress.objects.exists()


def test_a_key_of_before_counts_when_it_is_named(settings: Any):
    history("alpha")
    seal()
    newer = new_signer(NAME)
    settings.RQCRON_SEAL_KEY = newer.secret_text()
    fire("alpha", 3)
    seal(newer)
    found = verified()
    assert kinds(found) == [Kind.SEAL]
    assert found.findings[0].text == "No known key signed the seal of 9 events as it is stored."
    settings.RQCRON_SEAL_OLD_KEYS = [KEY.verifier.text]
    assert verified().ok


def test_a_seal_that_was_taken_out_or_changed_is_named():
    history("alpha", runs=5)
    seal_in_parts(7)
    middle = CronSeal.objects.get(size=14)
    CronSeal.objects.filter(size=14).update(root=b"\1" * 32)
    assert [f.text for f in verified().findings] == [
        "No known key signed the seal of 14 events as it is stored."
    ]
    CronSeal.objects.filter(size=14).update(root=middle.root, last_id=middle.last_id + 1000)
    assert kinds(verified()) == [Kind.SEAL]
    CronSeal.objects.filter(size=14).delete()
    assert [f.text for f in verified().findings] == [
        "A seal is missing between those of 7 and 21 events."
    ]


def test_damaged_tiles_are_told_apart_from_a_changed_log_and_mended():
    history("alpha", runs=80)
    seal()
    CronTile.objects.filter(path="0/000").update(hashes=b"\1" * 8192)
    assert [(f.kind, f.text) for f in verified().findings] == [
        (Kind.TILE, "Tile 0/000 is damaged (by the stored tiles): no proof can rest on it.")
    ], "the events are what the seal says"
    change(ids()[3])
    assert kinds(verified()) == [Kind.TILE, Kind.SEAL], "both are wrong now"
    change_back(ids()[3])
    assert make_tiles_again() == 321
    assert verified().ok
    CronTile.objects.filter(path="1/000").update(hashes=b"\1" * 32)
    assert [f.text for f in verified().findings][:1] == [
        "The stored tiles do not belong to the seal of 321 events."
    ]
    CronTile.objects.filter(path="0/001").delete()
    assert kinds(verified())[0] == Kind.TILE
    assert make_tiles_again() == 321
    assert verified().ok


def test_a_tile_that_only_proofs_need_is_looked_at_too():
    history("alpha", runs=150)
    seal()
    tile = CronTile.objects.get(path="1/000")
    assert len(tile.hashes) == 64
    history("beta", runs=100)
    seal()
    tile.refresh_from_db()
    good = bytes(tile.hashes)
    # The roots of two seals do not need the second hash by itself.
    CronTile.objects.filter(path="1/000").update(hashes=good[:32] + b"\1" * 32 + good[64:])
    assert Kind.TILE in kinds(verified())


def test_tiles_are_not_made_of_a_log_that_was_changed():
    history("alpha")
    seal()
    before = bytes(CronTile.objects.get().hashes)
    change(ids()[2])
    with pytest.raises(Exception, match="The log is not what the seal of 9 events says"):
        make_tiles_again()
    assert bytes(CronTile.objects.get().hashes) == before


def test_without_tiles_the_place_is_named_by_the_checkpoints_around_it(tmp_path: Path):
    history("alpha", runs=5)
    seal_in_parts(5)
    all_ids = ids()
    for size in (5, 15, 21):
        (tmp_path / str(size)).write_text(CronSeal.objects.get(size=size).note)
    CronTile.objects.all().delete()
    CronSeal.objects.all().delete()
    change(all_ids[12])
    found = verified(tmp_path)
    assert kinds(found) == [Kind.CHECKPOINT, Kind.SEAL]
    assert found.findings[0].text.endswith(
        f"of the log, which end with event {all_ids[14]}. The first difference lies behind the first 5 "
        f"events, which end with event {all_ids[4]}."
    )


def note_of(size: int, root: bytes) -> str:
    return KEY.signed(Checkpoint(NAME, size, root).text)


def test_two_checkpoints_that_cannot_both_be_true_are_found(tmp_path: Path):
    history("alpha", runs=5)
    seal_in_parts(10)
    (tmp_path / "a").write_text(CronSeal.objects.get(size=20).note)
    (tmp_path / "b").write_text(note_of(20, b"\2" * 32))
    found = verified(tmp_path)
    assert kinds(found) == [Kind.CHECKPOINT]
    assert found.findings[0].text.startswith(
        f"{tmp_path / 'b'} is about other events than the first 20"
    )
    assert kinds(verified(tmp_path, all_=False)) == [Kind.CHECKPOINT]


def test_a_checkpoint_of_before_is_compared_although_its_events_are_not_read_again(tmp_path: Path):
    history("alpha", runs=5)
    seal_in_parts(10)
    assert verified().ok
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(CronSeal.objects.get(size=10).note)
    found = verified(right, all_=False)
    assert (found.ok, found.checked_events) == (True, 0)
    wrong.write_text(note_of(10, b"\2" * 32))
    found = verified(wrong, all_=False)
    assert (kinds(found), found.checked_from) == ([Kind.CHECKPOINT], 0)


def test_what_is_no_checkpoint_of_this_log_is_refused(tmp_path: Path):
    history("alpha")
    seal()
    forged = new_signer(NAME).signed(Checkpoint(NAME, 9, b"\1" * 32).text)
    for name, text in (("a", "no note"), ("b", forged)):
        (tmp_path / name).write_text(text)
    found = verified(tmp_path)
    assert kinds(found) == [Kind.CHECKPOINT, Kind.CHECKPOINT]
    assert f"Checkpoint {tmp_path / 'a'}: it is no signed note" in found.findings[0].text
    assert "none of the known keys signed it" in found.findings[1].text
    assert SealProgress.objects.get(name="verify:outside").failing_since
    assert not SealProgress.objects.filter(name="verify").exclude(size=0).exists()
    with pytest.raises(CronConfigError, match="cannot be read: No such file"):
        verified(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CronConfigError, match="has no files in it"):
        verified(tmp_path / "empty")


def test_tiles_outside_that_do_not_belong_there_are_named(tmp_path: Path):
    history("alpha")
    seal()
    keep_outside(tmp_path)
    tile = tmp_path / "tile/0/000.p/9"
    tile.write_bytes(tile.read_bytes()[:-32] + base64.b64decode("A" * 44)[:32])
    found = verified(tmp_path)
    assert [f.text for f in found.findings] == [
        f"The tiles in {tmp_path} do not belong to its checkpoint."
    ]


def test_a_text_that_was_changed_or_taken_out_by_hand_is_found_and_a_removal_is_not():
    history("alpha", runs=4)
    seal()
    texts = list(CronText.objects.order_by("event_id"))
    assert verified().ok
    redact(Wanted(run_id=run_of("alpha", 1)), reason="asked", by="ann")
    CronText.objects.filter(id=texts[1].id).update(text="another one")
    CronText.objects.filter(id=texts[2].id).delete()
    CronText.objects.filter(id=texts[3].id).update(salt="no number")
    found = verified()
    assert [(item.kind, item.event_id) for item in found.findings] == [
        (Kind.TEXT, text.event_id) for text in texts[1:]
    ]
    assert "is not what was recorded" in found.findings[0].text
    assert "no event says who removed it" in found.findings[1].text
    CronText.objects.all().update(stored_at=clock.now() - timedelta(days=2))
    expire_texts(clock.now() - timedelta(days=1))
    assert verified().ok
