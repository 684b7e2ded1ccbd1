"""A pass of the archive: what it writes, what goes, what stays, and what holds it back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rqcron_events import clock
from rqcron_events.archive import archiving, boundary, removing
from rqcron_events.archive.archiving import archive
from rqcron_events.core.archive.segment import SegmentReader
from rqcron_events.core.events import Event, EventType, make
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.errors import SealBroken
from rqcron_events.followers import Follower, followers
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import (
    CronEvent,
    CronSeal,
    CronSegment,
    CronSnapshot,
    CronTile,
    QuarantinedEvent,
)
from rqcron_events.runner.following.steps import follow_all
from rqcron_events.seals import tiles_again
from rqcron_events.seals.segments import WholeTiles
from rqcron_events.seals.stored import StoredTiles
from rqcron_events.testing import FakeClock
from tests.archive_pass import archive_all, end_run, later, open_run, printed, rows
from tests.sealing import (
    KEY,
    NAME,
    events_of,
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


def leaves() -> list[bytes]:
    db = store.connection()
    return [leaf(row) for row in backend_of(db).read(db, 0, None, 10_000)]


def in_segments(directory: Path) -> list[bytes]:
    found = []
    for segment in CronSegment.objects.all():
        with (directory / segment.path).open("rb") as file:
            found += SegmentReader(file, [KEY.verifier], NAME)
    return found


def left() -> list[tuple[str, int]]:
    return list(CronEvent.objects.order_by("id").values_list("stream", "version"))


def test_events_are_in_the_segment_and_their_rows_are_gone(segments: Path):
    history("alpha", runs=30)
    gap()
    history("beta", runs=2)
    before = leaves()
    done = archive_all()
    [segment] = CronSegment.objects.all()
    assert (segment.first, segment.size) == (0, len(before))
    assert in_segments(segments) == before
    assert done.segments == [segment.path]
    assert (done.events, done.archived_events, done.archived_to, done.bytes) == (
        len(before), len(before), segment.last_id, (segments / segment.path).stat().st_size,
    )  # fmt: skip
    there = set(ids())
    kept = [json.loads(line) for line in before if json.loads(line)["id"] in there]
    # Of each cron its registration, and the newest decision with its run.
    assert len(kept) == done.kept_rows == 10
    assert [each["type"] for each in kept if each["cron"] == "beta"] == [
        "cron_registered", "slot_fired", "run_enqueued", "run_started", "run_failed",
    ]  # fmt: skip
    assert done.removed_rows == len(before) - 10
    [told] = CronEvent.objects.of_type("events_archived").events()
    assert (told.actor, told.data) == ("ann", {
        "path": segment.path, "first": 0, "size": segment.size, "first_id": segment.first_id,
        "last_id": segment.last_id, "sha256": segment.sha256,
    })  # fmt: skip
    assert (segment.occurred_from, segment.occurred_to) == (
        min(row["occurred_at"] for row in _times(before)),
        max(row["occurred_at"] for row in _times(before)),
    )


def _times(lines: list[bytes]) -> list[dict[str, Any]]:
    from rqcron_events.core.archive.row import row_of

    return [{"occurred_at": row_of(line)[11]} for line in lines]


def test_a_later_pass_goes_on_and_removes_what_nothing_rests_on_any_more(segments: Path):
    history("alpha", runs=3)
    archive_all()
    for number in range(4, 8):
        fire("alpha", number)
    everything = [*in_segments(segments), *leaves()]
    archive_all()
    first, second = CronSegment.objects.all()
    assert (second.first, second.first_id) == (first.size, min(
        id_ for id_ in _ids(everything) if id_ > first.last_id
    ))  # fmt: skip
    there = in_segments(segments)
    assert len(there) == second.size == len(set(there))
    own = CronEvent.objects.filter(cron="alpha", id__lte=second.last_id)
    # Its registration and slot 7 are left; slot 3 stayed at first.
    assert [(event.type, event.scheduled_for and event.scheduled_for.minute) for event in own] == [
        ("cron_registered", None), ("slot_fired", 7), ("run_enqueued", 7), ("run_started", 7),
        ("run_failed", 7),
    ]  # fmt: skip
    again = archive(later(), "ann")
    assert (again.events, again.removed_rows, again.removed_tiles) == (0, 0, 0)


def _ids(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["id"] for line in lines]


def test_segments_are_whole_seals_of_bounded_size(monkeypatch: pytest.MonkeyPatch, segments: Path):
    monkeypatch.setattr(archiving, "SEGMENT_EVENTS", 10)
    history("alpha", runs=10)
    seal_in_parts(4)
    before = leaves()
    done = archive_all()
    assert [row.size for row in CronSegment.objects.all()] == [8, 16, 24, 32, 41]
    assert in_segments(segments) == before
    assert len(done.segments) == 5
    fire("alpha", 11)
    fire("alpha", 12)
    seal()
    archive_all()
    assert [row.events for row in CronSegment.objects.all()][5:] == [5, 13], "a seal is not cut"


def test_a_run_that_is_open_holds_the_archive_back_and_is_named():
    history("alpha")
    seal()
    open_run("alpha", 3)
    history("beta")
    done = archive_all()
    asked = CronEvent.objects.get(run_id=run_of("alpha", 3), type="slot_fired")
    [why] = done.held_back
    assert why.startswith(f"Run {run_of('alpha', 3)} of cron 'alpha', event {asked.id} of ")
    assert why.endswith(f"is open: cron_explain --run {run_of('alpha', 3)}.")
    assert done.archived_to == asked.id - 1
    end_run("alpha", 3)
    done = archive_all()
    assert (done.held_back, done.archived_to > asked.id) == ([], True)


def test_a_run_that_straddles_the_end_stays_whole_until_it_is_behind():
    history("alpha", runs=3)
    seal()
    history("beta")
    late = run_of("alpha", 1)
    last = CronEvent.objects.filter(run_id=late).last()
    place = {"cron": "alpha", "run_id": late, "version": last.version + 1,
             "slot": last.scheduled_for, "actor": "worker/w", "at": clock.now()}  # fmt: skip
    store.append([make.start_refused(reason="already_ended", **place)])
    archive_all(limit=13)
    assert CronEvent.objects.filter(run_id=late).count() == 5
    assert CronEvent.objects.filter(run_id=run_of("alpha", 2)).count() == 0
    archive_all()
    assert CronEvent.objects.filter(run_id=late).count() == 0


def test_a_follower_and_the_snapshot_hold_the_archive_back_and_are_named(
    monkeypatch: pytest.MonkeyPatch,
):
    history("alpha")
    seal()
    [*_, position] = ids()
    history("beta")
    seal()
    slow = Follower(catch_up=lambda: 0, position=lambda: position + 2)
    monkeypatch.setitem(followers, "slow", slow)
    done = archive_all()
    assert done.archived_to == position
    assert done.held_back == [f"Follower 'slow' has read the log up to event {position + 2} only."]
    monkeypatch.delitem(followers, "slow")
    CronSnapshot.objects.create(name="", position=position + 1, state={})
    done = archive_all()
    assert done.archived_to == position
    [why] = done.held_back
    assert why == f"The snapshot of the runner has read the log up to event {position + 1} only."


def test_nothing_goes_that_was_recorded_later(monkeypatch: pytest.MonkeyPatch):
    history("alpha", runs=8)
    seal_in_parts(3)
    archive_all(dry_run=True)
    recorded = CronEvent.objects.first().recorded_at - timedelta(milliseconds=1)
    assert boundary.boundary(recorded).seal is None
    assert "recorded before that time" in boundary.boundary(recorded).held[0]
    found = boundary.boundary(recorded + timedelta(days=1)).seal
    assert found is not None
    # By halves: whichever event is the first that is later, the seal before it is found.
    at = {row.id: number for number, row in enumerate(CronEvent.objects.order_by("id"))}
    for limit in range(len(at)):

        def recorded_before(id_: int, limit: int = limit) -> bool:
            return at[id_] < limit

        monkeypatch.setattr(boundary, "_was_recorded", lambda id_, _, f=recorded_before: f(id_))
        seal_ = boundary.boundary(recorded).seal
        assert (seal_.size if seal_ else 0) == min(limit // 3 * 3, 33)


def test_the_newest_seal_stays_in_the_log():
    history("alpha")
    seal()
    follow_all()
    done = archive(later(), "ann")
    assert (done.segments, done.removed_rows) == ([], 0)
    assert done.held_back == [
        "No seal before the newest one has only events that were recorded before that time."
    ]


def test_nothing_that_is_not_sealed_goes():
    history("alpha")
    follow_all()
    done = archive(later(), "ann")
    assert done.held_back == ["Nothing is sealed yet, and only sealed events go: cron_seal."]
    assert len(ids()) == 9


def test_events_that_a_reader_set_aside_stay_with_their_run():
    history("alpha", runs=5)
    run = run_of("alpha", 2)
    [event, *_] = CronEvent.objects.filter(run_id=run, type="run_started")
    QuarantinedEvent.objects.create(
        reader="runner", event_id=event.id, stream=event.stream, error="no", noticed_at=clock.now()
    )
    archive_all()
    assert CronEvent.objects.filter(run_id=run).count() == 4
    QuarantinedEvent.objects.all().delete()
    archive_all()
    assert CronEvent.objects.filter(run_id=run).count() == 0


def test_the_newest_success_of_a_cron_stays_whatever_came_after_it():
    """Health asks how long ago that was."""
    history("alpha", runs=2)
    succeeded = run_of("alpha", 3)
    *begin, failed = events_of("alpha", 3, 3)
    store.append([*begin, replace(failed, type=EventType.RUN_SUCCEEDED, data={})])
    for number in (4, 5):
        fire("alpha", number)
    archive_all()
    stays = CronEvent.objects.for_run(succeeded)
    assert stays.count() == 4
    assert not CronEvent.objects.for_run(run_of("alpha", 4)).exists()
    assert verified().ok


def test_of_runners_those_stay_that_have_not_stopped_and_the_newest_start():
    def runner(name: str, *kinds: EventType) -> None:
        store.append_next([
            Event(stream=f"runner/{name}", version=0, type=kind, occurred_at=clock.now(), data={})
            for kind in kinds
        ])  # fmt: skip

    started, stopped = EventType.RUNNER_STARTED, EventType.RUNNER_STOPPED
    runner("alive", started)
    runner("alive", EventType.CLOCK_SKEWED)
    runner("lost", started)
    runner("lost", EventType.RUNNER_LOST)
    runner("old", started)
    runner("old", stopped)
    runner("newest", started)
    runner("newest", stopped)
    archive_all()
    assert [each for each in left() if each[0].startswith("runner/")] == [
        ("runner/alive", 1), ("runner/alive", 2), ("runner/lost", 1), ("runner/lost", 2),
        ("runner/newest", 1), ("runner/newest", 2),
    ]  # fmt: skip


def test_a_log_that_was_changed_is_not_archived(segments: Path):
    history("alpha", runs=5)
    seal()
    backend_of(connection).set_append_only(connection, False)
    execute(f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {ids()[3]}")
    backend_of(connection).set_append_only(connection, True)
    with pytest.raises(SealBroken, match="are not what was sealed"):
        archive_all()
    assert not CronSegment.objects.exists()
    assert not segments.exists()


# Tiles


def test_tiles_of_archived_events_go_and_segments_give_them_again(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(archiving, "SEGMENT_EVENTS", 150)
    history("alpha", runs=150)
    seal_in_parts(99)
    known = {number: StoredTiles()(0, number) for number in range(3)}
    done = archive_all()
    assert (done.archived_events, done.removed_tiles) == (601, 2)
    assert not CronTile.objects.filter(path__in=["0/000", "0/001"]).exists()
    assert {number: WholeTiles()(0, number)[: len(known[number])] for number in range(3)} == known
    assert WholeTiles()(0, 9) == b""
    keep_outside(tmp_path / "new")
    assert (tmp_path / "new/tile/0/001").read_bytes() == known[1]
    fire("beta", 1)
    seal()
    keep_outside(tmp_path / "new")
    assert tiles_again.make_tiles_again() == CronSeal.objects.last().size
    assert StoredTiles()(0, 1) == known[1]
    assert archive(later(), "ann").removed_tiles == 2


def test_tiles_stay_until_every_receiver_has_them(tmp_path: Path, settings: Any):
    settings.RQCRON_SEAL_RECEIVERS = {"outside": {"kind": "file", "path": str(tmp_path / "a")}}
    history("alpha", runs=80)
    assert archive_all().removed_tiles == 0
    keep_outside(tmp_path / "a")
    assert archive(later(), "ann").removed_tiles == 1


# The command


def test_the_command_says_what_it_did_and_what_it_would_do():
    with pytest.raises(CommandError, match="is in the future"):
        printed("--before", "2099-01-01")
    history("alpha")
    seal()
    open_run("alpha", 3)
    seal()
    fire("beta", 1)
    seal()
    follow_all()
    before = rows()
    with FakeClock(later()):
        text = printed("--before", "1 minute ago", "--dry-run")
        assert text.splitlines()[0] == "9 events would be archived."
        assert rows() == before
        assert not CronSegment.objects.exists()
        told = printed("--before", "1 minute ago", "--by", "ann").splitlines()
        again = json.loads(printed("--before", "1 minute ago", "--format", "json"))
    assert told[0] == "segments/000000000000-000000000009.jsonl.gz has been written and verified."
    assert told[1].startswith("9 events were archived (")
    assert told[2] == (
        "4 rows were removed from the log; 5 archived ones stay, because later decisions rest on them."
    )
    assert told[3].startswith(f"Held back: Run {run_of('alpha', 3)} of cron 'alpha'")
    assert (again["events"], again["archived_events"], again["kept_rows"]) == (0, 9, 5)


def test_the_command_needs_a_key_and_a_place(settings: Any):
    settings.RQCRON_ARCHIVE = {}
    with pytest.raises(CommandError, match="RQCRON_ARCHIVE is not set"):
        printed("--before", "yesterday")
    settings.RQCRON_SEAL_KEY = ""
    with pytest.raises(CommandError, match="RQCRON_SEAL_KEY is not set"):
        printed("--before", "yesterday")
    with pytest.raises(CommandError, match="--before"):
        call_command("cron_archive")


def test_rows_go_in_small_batches_with_pauses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(removing, "BATCH_ROWS", 7)
    history("alpha", runs=20)
    pauses: list[float] = []
    monkeypatch.setattr(removing.time, "sleep", pauses.append)
    done = archive_all()
    assert (done.removed_rows, len(pauses)) == (76, 11)
    assert min(pauses) >= removing.PAUSE_SECONDS_MIN
