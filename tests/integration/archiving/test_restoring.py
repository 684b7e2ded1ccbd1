"""cron_restore: segments into an empty log, as they were."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from rqcron_projections.models import Checkpoint, CronRun
from rqcron_projections.replay.rebuild import check, rebuild

from rqcron_events.archive import archiving, restoring
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.core.seal.note import new_signer
from rqcron_events.errors import RestoreRefused
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import (
    CronEvent,
    CronSeal,
    CronSegment,
    CronSnapshot,
    CronText,
    CronTile,
    SealProgress,
)
from rqcron_events.queries.health import health
from rqcron_events.runner.following.steps import follow_all
from tests.archive_pass import archive_all
from tests.sealing import KEY, NAME, fire, gap, history, seal, verified


class Killed(BaseException):
    """In the place of SIGKILL: whatever was not committed is gone."""


def leaves() -> list[bytes]:
    db = store.connection()
    return [leaf(row) for row in backend_of(db).read(db, 0, None, 100_000)]


def new_database() -> None:
    """The tables as migrate makes them."""
    backend = backend_of(connection)
    backend.set_append_only(connection, False)
    for model in (
        CronEvent,
        CronSeal,
        CronText,
        CronTile,
        CronSegment,
        SealProgress,
        CronSnapshot,
        Checkpoint,
        CronRun,
    ):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
    backend.set_append_only(connection, True)


def restored(*line: str) -> str:
    out = io.StringIO()
    call_command("cron_restore", *line, "--by", "ann", stdout=out)
    return out.getvalue()


@pytest.fixture
def archived(monkeypatch: pytest.MonkeyPatch, segments: Path) -> list[bytes]:
    """Three segments of a log that is gone; their events."""
    monkeypatch.setattr(archiving, "SEGMENT_EVENTS", 26)
    before: list[bytes] = []
    for number, cron in enumerate(("alpha", "beta", "gamma")):
        history(cron, runs=5)
        gap()
        before = leaves()
        seal()
        fire("last", number + 1)
        seal()
    before = leaves()
    done = archive_all()
    assert len(done.segments) == 3
    before = before[: done.archived_events]
    new_database()
    return before


def test_events_come_back_with_their_ids_and_times_and_all_is_sealed_as_before(
    archived: list[bytes], segments: Path
) -> None:
    assert "events of 3 segments are in the log" in restored(str(segments))
    assert leaves()[:-1] == archived
    told = CronEvent.objects.last().to_event()
    assert (told.type, told.actor) == ("events_restored", "ann")
    assert told.data["size"] == len(archived)
    assert told.data["segments"] == 3
    assert not SealProgress.objects.filter(name=restoring.RESTORING).exists()
    assert verified().ok
    fire("alpha", 9)
    seal()
    assert verified().ok
    assert CronEvent.objects.last().id > told.id
    rebuild()
    assert check() == []
    assert CronRun.objects.filter(cron="beta").count() == 5
    # The next pass finds the segments where they are, and takes the same rows out again.
    again = archive_all()
    assert again.archived_events > len(archived)
    assert again.removed_rows > 0


def test_from_a_storage(archived: list[bytes], segments: Path, settings: Any) -> None:
    settings.RQCRON_SEAL_KEY = ""
    restored("--storage", "segments", "--key", KEY.verifier.text)
    assert leaves()[:-1] == archived


@pytest.mark.parametrize("where", ["restore_written", "restore_committed", "restore_whole"])
def test_one_that_was_killed_goes_on_and_writes_nothing_twice(
    redis_connection: Any,
    archived: list[bytes],
    segments: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    monkeypatch.setattr(restoring, "BATCH_EVENTS", 7)
    times = [2]

    def reach(name: str) -> None:
        if name == where:
            times[0] -= 1
            if times[0] <= 0 or name == "restore_whole":
                raise Killed

    for _ in range(4):
        monkeypatch.setattr(restoring, "reach", reach)
        times[0] = 2
        with pytest.raises(Killed):
            restored(str(segments))
        there = leaves()
        assert there == archived[: len(there)]
        (problem,) = [text for text in health().problems if "not whole" in text]
        assert f"interrupted after {len(there)} events" in problem
    monkeypatch.setattr(restoring, "reach", lambda name: None)
    restored(str(segments))
    assert leaves()[:-1] == archived
    assert not [text for text in health().problems if "not whole" in text]
    assert verified().ok
    with pytest.raises(CommandError, match="The log of database 'default' is not empty"):
        restored(str(segments))


def test_a_log_with_events_is_refused(archived: list[bytes], segments: Path) -> None:
    history("other")
    with pytest.raises(CommandError, match=r"is not empty: its newest event is \d+, run_failed"):
        restored(str(segments))
    assert CronEvent.objects.count() == 9


def test_a_log_out_of_which_events_were_taken_is_refused(segments: Path) -> None:
    history("alpha")
    seal()
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rqcron_event")
    backend_of(connection).set_append_only(connection, True)
    segments.mkdir()
    with pytest.raises(CommandError, match="no segment and no directory"):
        restored(str(segments))
    with pytest.raises(RestoreRefused, match="has seals, tiles or segments"):
        restoring._begun()


def test_who_appends_meanwhile_is_noticed(
    archived: list[bytes], segments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "BATCH_EVENTS", 7)

    def append(name: str) -> None:
        if name == "restore_committed":
            fire("intruder", 1)

    monkeypatch.setattr(restoring, "reach", append)
    with pytest.raises(CommandError, match="somebody has appended events meanwhile"):
        restored(str(segments))


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "turned":
            middle = len(content) * 3 // 4
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "turned"])
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_is_written_where_a_segment_is_not_as_it_was(
    archived: list[bytes], segments: Path, how: str, number: int
) -> None:
    files = sorted((segments / "segments").iterdir())
    damage(files[number], how)
    with pytest.raises(CommandError, match=r"begins with event number \d+ is missing or damaged"):
        restored(str(segments))
    assert not CronEvent.objects.exists()
    assert not SealProgress.objects.filter(name=restoring.RESTORING).exists()


def test_a_file_that_was_left_half_written_is_passed_over(
    archived: list[bytes], segments: Path
) -> None:
    files = sorted((segments / "segments").iterdir())
    half = files[1].read_bytes()[:300]
    (segments / "segments" / "000000000000-000000009999.jsonl.gz").write_bytes(half)
    restored(str(segments))
    assert leaves()[:-1] == archived


def test_segments_of_another_log_are_refused(
    archived: list[bytes], segments: Path, settings: Any
) -> None:
    settings.RQCRON_SEAL_KEY = new_signer(NAME).secret_text()
    with pytest.raises(CommandError, match=r"is missing or damaged\. Refused: .*signed"):
        restored(str(segments))


@pytest.mark.parametrize(
    ("kept_as", "problem"),
    [
        ("000000000000-000000000026.jsonl.gz", "does not go on from the events before it"),
        ("old.jsonl.gz", "are of two histories of this log"),
    ],
)
def test_segments_of_two_histories_make_no_log(
    archived: list[bytes], segments: Path, kept_as: str, problem: str
) -> None:
    directory = segments / "segments"
    old = min(directory.iterdir()).read_bytes()
    for file in directory.iterdir():
        file.unlink()
    for number, cron in enumerate(("delta", "epsilon", "zeta")):
        history(cron, runs=5)
        seal()
        fire("last", number + 1)
        seal()
    archive_all()
    new_database()
    (directory / kept_as).write_bytes(old)
    with pytest.raises(CommandError, match=problem):
        restored(str(segments))


def test_no_slot_that_was_decided_fires_again(
    deploy: Any, add: Any, clock: Any, segments: Path
) -> None:
    add("report", schedule="* * * * *")
    runner = deploy()
    for _ in range(3):
        clock.advance(timedelta(minutes=1))
        runner.tick()
    runs = CronEvent.objects.of_type("slot_fired").values_list("run_id", flat=True)
    store.append([
        Event(stream=run_stream(run), version=2, type=EventType.RUN_SUCCEEDED, cron="report",
              run_id=run, occurred_at=clock.now, actor="worker/w", data={"duration_seconds": 1.0})
        for run in runs
    ])  # fmt: skip
    decided = len(runs)
    assert decided == 3
    seal()
    fire("last", 1)
    seal()
    follow_all()
    CronSnapshot.objects.all().delete()  # a cache
    # The database has a clock of its own.
    done = archiving.archive(datetime(2100, 1, 1, tzinfo=UTC), "ann")
    assert done.segments, done.held_back
    new_database()
    restored(str(segments))
    runner = deploy()
    assert CronEvent.objects.of_type("slot_fired").for_cron("report").count() == decided
    clock.advance(timedelta(minutes=1))
    runner.tick()
    assert CronEvent.objects.of_type("slot_fired").for_cron("report").count() == decided + 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ((), "Give either segments or --storage"),
        (("a", "--storage", "segments"), "Give either segments or --storage"),
        (("a", "--prefix", "b"), "--prefix is for --storage"),
        (("/nowhere",), "/nowhere is no segment and no directory"),
        (("--storage", "nowhere"), "Storage 'nowhere' does not list"),
        (("--storage", "segments", "--prefix", "x"), "Storage 'segments' "),
        (("a", "--key", "x"), "--key 'x' is no public key"),
    ],
)
def test_what_is_wrong_with_a_call_is_told(
    segments: Path, line: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(CommandError, match=problem):
        restored(*line)
