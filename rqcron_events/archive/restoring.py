"""Segments into an empty log: events with the ids and times that they had, and their seals and tiles.

Each batch is one transaction that also notes how far it is, so a restore that was killed goes on when it is
asked for again, and writes nothing twice. The last event says that the log was restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from django.db import DatabaseError, transaction

from .. import clock
from ..core.archive.row import row_of
from ..core.archive.segment import Header
from ..core.codec import Row
from ..core.events import make
from ..core.seal.leaf import leaf
from ..core.seal.merkle import Frontier, leaf_hash, root_of
from ..core.seal.note import Verifier
from ..core.seal.tiles import TileMissing, grown
from ..core.wording import clause
from ..errors import RestoreRefused
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronEvent, CronSeal, CronSegment, CronTile
from ..process.failpoints import reach
from ..seals.progress import progress, rows, succeeded
from ..seals.stored import StoredTiles, newest_seal, save_tiles
from .sources import Source, chain

__all__ = ["RESTORING", "Restored", "restore"]

RESTORING = "restore"
"""Its row of progress: there while a restore is not whole."""
BATCH_EVENTS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What is there now."""

    segments: int
    events: int
    """In all segments."""
    written: int
    """By this call: fewer, where one before it was interrupted."""
    last_id: int

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


def restore(sources: Sequence[Source], keys: Sequence[Verifier], actor: str) -> Restored:
    """Verify all segments, then write their events into the log of this project, which has to be empty.

    :param keys: whose signatures count; the first one names the log.
    :param actor: who, for the log.

    Raises RestoreRefused, Django's database errors; what was written until then stays, and the next call goes on.
    """
    segments = chain(sources, keys)
    size, last_id = _begun()
    before, last = size, segments[-1][1]
    if size > last.size:
        raise RestoreRefused(
            f"A restore that was interrupted has written {size} events, and these segments have {last.size}. "
            "Give all that it had."
        )
    for source, header in segments:
        if size < header.size:
            last_id = _write(source, header, size, last_id, keys)
            size = header.size
    reach("restore_whole")
    done = make.events_restored(
        segments=len(segments), size=size, last_id=last_id, actor=actor, at=clock.now()
    )
    with transaction.atomic(using=store.connection().alias):
        rows().filter(name=RESTORING).delete()
        store.append_next([done])
    return Restored(segments=len(segments), events=size, written=size - before, last_id=last_id)


def _begun() -> tuple[int, int]:
    """How many events an interrupted restore has written, and the id of the last one. Raises RestoreRefused for a
    log that has others."""
    before = progress(RESTORING)
    if before is not None:
        return before.size, int(before.told)
    alias = store.connection().alias
    newest = CronEvent.objects.using(alias).order_by("-id").first()
    if newest is not None:
        raise RestoreRefused(
            f"The log of database {alias!r} is not empty: its newest event is {newest.id}, {newest.type}. Segments "
            "are restored into an empty log only. Use a new database, run migrate, and start no runner before."
        )
    if any(model.objects.using(alias).exists() for model in (CronSeal, CronTile, CronSegment)):
        raise RestoreRefused(
            f"The log of database {alias!r} is empty, but has seals, tiles or segments: events were removed from it. "
            "Use a new database, and run migrate."
        )
    rows().all().delete()  # of a log that was here before
    succeeded(RESTORING, 0, "0")
    return 0, 0


def _write(
    source: Source, header: Header, size: int, last_id: int, keys: Sequence[Verifier]
) -> int:
    """What the log does not have of a segment yet; returns the id of the last event."""
    reader = source.reader(keys)
    tiles = StoredTiles()
    try:
        joins = Frontier.at(header.first, tiles.subtree).root() == header.started().root()
    except TileMissing:
        joins = False
    if not joins:
        raise RestoreRefused(
            f"{source.name} does not go on from the events before it: it is of another history of this log."
        )
    root = header.opened(keys, keys[0].name).root
    for lines in _batches(islice(reader, size - header.first, None)):
        last_id = _write_batch(source, header, root, size, last_id, lines)
        size += len(lines)
    return last_id


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(lines)
    while batch := list(islice(left, BATCH_EVENTS)):
        yield batch


def _write_batch(
    source: Source, header: Header, root: bytes, size: int, after: int, lines: list[bytes]
) -> int:
    """Behind the first ``size`` events, of which the last is ``after``; returns the id of the last one now."""
    db = store.connection()
    found: list[Row] = list(map(row_of, lines))
    first_id, last_id = found[0][0], found[-1][0]
    with transaction.atomic(using=db.alias):
        succeeded(RESTORING, size + len(lines), str(last_id))
        try:
            # In a savepoint, so that the error is about what was written.
            with transaction.atomic(using=db.alias):
                is_alone = backend_of(db).insert_archived(db, found, after)
        except DatabaseError as error:
            raise RestoreRefused(
                f"{source.name}: the database does not take events {first_id} to {last_id}: "
                f"{' '.join(clause(error).split()):.500}."
            ) from error
        if not is_alone:
            raise RestoreRefused(
                f"The newest event of the log is not {after} any more: somebody has appended events meanwhile. Stop all "
                "runners and workers, and begin again with a new database."
            )
        there = backend_of(db).read(db, after, last_id, len(lines) + 1)
        if [leaf(row) for row in there] != lines:
            raise RestoreRefused(
                f"{source.name}: the database does not give back events {first_id} to {last_id} as they were."
            )
        save_tiles(grown(StoredTiles(), size, list(map(leaf_hash, lines))))
        if size + len(lines) == header.size:
            _seal(source, header, root)
        reach("restore_written")
    reach("restore_committed")
    return last_id


def _seal(source: Source, header: Header, root: bytes) -> None:
    """The one that was signed behind the segment's last event."""
    before = newest_seal()
    if root_of(header.size, StoredTiles().subtree) != root:
        raise RestoreRefused(f"{source.name}: the tree over its events is not what was signed.")
    CronSeal(
        size=header.size,
        previous=before.size if before else 0,
        last_id=header.last_id,
        root=root,
        note=header.checkpoint,
    ).save(using=store.connection().alias, force_insert=True)
