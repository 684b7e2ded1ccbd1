"""Storages that fail, lie or are gone; passes that meet; and what a killed one left."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import connection

from rqcron_events.archive import archiving, writing
from rqcron_events.archive.archiving import archive
from rqcron_events.core.archive.segment import SegmentReader, SegmentWriter, segment_path
from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.merkle import Frontier
from rqcron_events.core.seal.note import new_signer
from rqcron_events.errors import ArchiveRefused
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSegment
from rqcron_events.runner.following.steps import follow_all
from tests.archive_pass import ALIAS, archive_all, later, rows
from tests.sealing import KEY, NAME, fire, history, ids, seal

HERE = f"{__name__}."


class Full(FileSystemStorage):
    def _save(self, name: str, content: Any) -> str:
        raise OSError(28, "No space left on device")


class Gone(FileSystemStorage):
    def exists(self, name: str) -> bool:
        raise ConnectionError("no route to bucket.example.org")


class WriteOnly(FileSystemStorage):
    def _open(self, name: str, mode: str = "rb") -> Any:
        raise PermissionError(13, "Permission denied")


class Shorter(FileSystemStorage):
    """It gives back less than it took."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        return io.BytesIO(Path(self.path(name)).read_bytes()[:-7])


class Other(FileSystemStorage):
    """It gives back one letter changed, in a right gzip."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        import gzip

        content = gzip.decompress(Path(self.path(name)).read_bytes())
        return io.BytesIO(gzip.compress(content.replace(b"alpha", b"omega", 3)))


class Recompressed(FileSystemStorage):
    """The events are right, the file is another."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        import gzip

        return io.BytesIO(gzip.compress(gzip.decompress(Path(self.path(name)).read_bytes()), 1))


class Overwriting(FileSystemStorage):
    """As buckets do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_overwrite=True)


FAULTS: dict[type[FileSystemStorage], str] = {
    Full: "does not take segments/.*OSError: .*No space left on device. Nothing was removed",
    Gone: "does not look for segments/.*ConnectionError: no route to bucket.example.org",
    WriteOnly: "does not give back segments/.*PermissionError",
    Shorter: "as something else than what was archived: it is damaged, or not whole",
    Other: "as something else than what was archived: its events are not those",
    Recompressed: "as something else than what was archived: its SHA-256 is",
}


def use(settings: Any, kind: type[FileSystemStorage], directory: Path) -> None:
    mine = {"BACKEND": HERE + kind.__name__, "OPTIONS": {"location": str(directory)}}
    settings.STORAGES = {**settings.STORAGES, ALIAS: mine}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_nothing_goes_while_a_storage_fails_or_lies(
    kind: type[FileSystemStorage], settings: Any, segments: Path
):
    history("alpha", runs=3)
    before = rows()
    right = settings.STORAGES
    use(settings, kind, segments)
    with pytest.raises(ArchiveRefused, match=FAULTS[kind]):
        archive_all()
    assert rows()[: len(before)] == before
    assert not CronSegment.objects.exists()
    settings.STORAGES = right
    assert archive(later(), "ann").removed_rows == 8


@pytest.mark.parametrize("kind", [FileSystemStorage, Overwriting])
def test_what_a_killed_pass_left_is_used_or_replaced_under_another_name(
    kind: type[FileSystemStorage], settings: Any, segments: Path, monkeypatch: pytest.MonkeyPatch
):
    if kind is Overwriting:
        use(settings, kind, segments)
    history("alpha", runs=3)
    seal()
    fire("beta", 1)
    seal()
    follow_all()

    def killed(*_: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(archiving, "_record", killed)
        archive(later(), "ann")
    [file] = (segments / "segments").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(archiving, "_record", killed)
        archive(later(), "ann")
    names = sorted((segments / "segments").iterdir())
    assert len(names) == (1 if kind is Overwriting else 2)
    file.write_bytes(whole)
    monkeypatch.setattr(writing.Place, "save", killed)
    archive(later(), "ann")
    segment = CronSegment.objects.get()
    assert (segment.path, segment.bytes) == (f"segments/{file.name}", len(whole))


def test_a_segment_of_another_history_is_not_replaced(segments: Path):
    """As after a restored backup: the events that it has are nowhere else."""
    history("alpha", runs=3)
    read = backend_of(connection).read
    out = io.BytesIO()
    writer = SegmentWriter(io.BytesIO(), Frontier())
    writer.add([(*row[:10], "of before", *row[11:]) for row in read(connection, 0, None, 100)])
    point = Checkpoint(NAME, writer.tree.size, writer.tree.root())
    writer.finish(out, NAME, KEY.signed(point.text))
    file = segments / segment_path(0, 13)
    file.parent.mkdir(parents=True)
    file.write_bytes(out.getvalue())
    with pytest.raises(ArchiveRefused, match="it is of another history of this log"):
        archive_all()
    assert file.read_bytes() == out.getvalue()
    assert not CronSegment.objects.exists()


def test_two_passes_at_once_archive_nothing_twice(monkeypatch: pytest.MonkeyPatch, segments: Path):
    monkeypatch.setattr(archiving, "SEGMENT_EVENTS", 8)
    history("alpha", runs=6)
    fire("beta", 1)
    record = archiving._record
    met: list[int] = []

    def with_another(segment: CronSegment, actor: str) -> bool:
        """Another pass does all of it, right before this one records its first segment."""
        if not met:
            met.append(segment.size)
            archive(later(), "bob")
        return record(segment, actor)

    monkeypatch.setattr(archiving, "_record", with_another)
    done = archive_all()
    assert done.segments == []
    sizes = [(row.first, row.size) for row in CronSegment.objects.all()]
    assert [first for first, _ in sizes] == [0, *(size for _, size in sizes)][:-1]
    told = CronEvent.objects.of_type("events_archived")
    assert [event.actor for event in told] == ["bob"] * len(sizes)
    found = []
    for segment in CronSegment.objects.all():
        with (segments / segment.path).open("rb") as file:
            found += SegmentReader(file, [KEY.verifier], NAME)
    assert len(found) == len(set(found)) == sizes[-1][1]


def test_a_pass_reads_segments_of_an_old_key(settings: Any):
    history("alpha", runs=3)
    archive_all()
    new = new_signer(NAME)
    settings.RQCRON_SEAL_KEY = new.secret_text()
    settings.RQCRON_SEAL_OLD_KEYS = [KEY.verifier.text]
    for number in (4, 5):
        fire("alpha", number)
        seal(new)
    follow_all()
    assert len(archive(later(), "ann").segments) == 1
    assert ids()
