"""One segment: made of the log, stored, read back and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from tempfile import TemporaryFile
from typing import Any

from ..core.archive.segment import SegmentRefused, SegmentWriter, segment_path
from ..core.seal.merkle import Frontier
from ..core.seal.tiles import TileMissing
from ..errors import ArchiveRefused, SealBroken
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronSeal, CronSegment
from ..process.failpoints import reach
from ..seals.keys import required_signer, verifiers
from ..seals.stored import StoredTiles
from .place import Place, Stored

__all__ = ["write_segment"]

PAGE_EVENTS = 5_000


def write_segment(first: int, after_id: int, seal: CronSeal, place: Place) -> CronSegment:
    """The events from number ``first``, which come after ``after_id``, up to this seal, as a segment that is
    not recorded yet. One that is there already, as after a crash, is used.

    Raises SealBroken where the log is not what was sealed, ArchiveRefused where the storage fails
    or gives back something else; Django's database errors.
    """
    keys, origin = verifiers(), required_signer().name
    with _made(first, after_id, seal, origin) as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        path = place.path(segment_path(first, seal.size))
        stored: Stored | None = None
        if place.exists(path):
            # Or else it is half written; this one gets another name where the storage replaces nothing.
            with suppress(SegmentRefused):
                stored = place.read_back(path, keys, origin)
        if stored is None:
            content.seek(0)
            path = place.save(path, content)
            reach("segment_written")
            try:
                stored = place.read_back(path, keys, origin)
            except SegmentRefused as error:
                raise _other(path, place, f"{error}") from error
            if stored.sha256 != sha256:
                raise _other(path, place, f"its SHA-256 is {stored.sha256}, {sha256} was written")
    header = stored.header
    if header.checkpoint != seal.note:
        raise _other(path, place, "it is of another history of this log")
    reach("segment_verified")
    occurred_from, occurred_to = (
        datetime.fromisoformat(at) if at else None for at in header.occurred
    )
    return CronSegment(
        first=header.first,
        size=header.size,
        first_id=header.first_id,
        last_id=header.last_id,
        occurred_from=occurred_from,
        occurred_to=occurred_to,
        storage=place.alias,
        path=stored.path,
        sha256=stored.sha256,
        bytes=stored.bytes,
    )


@contextmanager
def _made(first: int, after_id: int, seal: CronSeal, origin: str) -> Iterator[Any]:
    """The file, out of the rows of the log: they have to be those that were sealed."""
    db = store.connection()
    read = backend_of(db).read
    try:
        frontier = Frontier.at(first, StoredTiles().subtree)
    except TileMissing as error:
        raise SealBroken(f"A stored tile is damaged ({error}). See cron_seal --tiles.") from error
    with (
        TemporaryFile() as body,
        TemporaryFile() as content,
        closing(SegmentWriter(body, frontier)) as writer,
    ):
        while rows := read(db, after_id, seal.last_id, PAGE_EVENTS):
            writer.add(rows)
            after_id = rows[-1][0]
        if (writer.tree.size, writer.tree.root()) != (seal.size, bytes(seal.root)):
            raise SealBroken(
                f"The events up to {seal.last_id} are not what was sealed. Nothing is archived. See "
                "cron_verify --all."
            )
        writer.finish(content, origin, seal.note)
        content.seek(0)
        yield content


def _other(path: str, place: Place, why: Any) -> ArchiveRefused:
    return ArchiveRefused(
        f"Storage {place.alias!r} gives back {path} as something else than what was archived: {why}. "
        "Nothing was removed from the log. Mend the storage; the next pass goes on."
    )
