"""One pass: what is old enough becomes segments, and goes from the database.

Each segment is written, read back and verified before it is recorded, and recorded before anything goes. So
the pass can be killed anywhere, and two of them may run at once: the next one goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from .. import clock
from ..core.events import make
from ..ledger import store
from ..models import CronSeal, CronSegment
from ..process.failpoints import reach
from ..seals.stored import seals
from .boundary import boundary, last_segment
from .place import place
from .removing import remove_rows, remove_tiles
from .writing import write_segment

__all__ = ["SEGMENT_EVENTS", "Archived", "archive"]

SEGMENT_EVENTS = 100_000
"""Of one segment, at most, unless a seal has more."""
SEGMENTS_MAX = 100_000


@dataclass(slots=True, kw_only=True)
class Archived:
    """What a pass did, or would do."""

    segments: list[str] = field(default_factory=list)
    """Paths of the new ones."""
    events: int = 0
    """In the new segments."""
    bytes: int = 0
    """Of their files."""
    archived_to: int = 0
    """The last event that is in a segment."""
    archived_events: int = 0
    """In all segments."""
    removed_rows: int = 0
    kept_rows: int = 0
    """Archived events whose rows stay in the log."""
    removed_tiles: int = 0
    held_back: list[str] = field(default_factory=list)
    """Why it went no further, one sentence for each reason."""
    dry_run: bool = False

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


def archive(
    before: datetime, actor: str, *, dry_run: bool = False, events_min: int = 1
) -> Archived:
    """Archive what was recorded before this time, as far as that is possible now.

    :param actor: who, for the log.
    :param dry_run: say only what would be archived.
    :param events_min: leave fewer than that to a later pass.

    Raises CronConfigError where settings are missing, ArchiveRefused and SealBroken as ``write_segment``;
    Django's database errors.
    """
    where, limit = place(), boundary(before)
    found = Archived(held_back=limit.held, dry_run=dry_run)
    last = last_segment()
    size, last_id = (last.size, last.last_id) if last else (0, 0)
    waiting = limit.seal.size - size if limit.seal else 0
    if dry_run:
        found.events = waiting
    elif limit.seal is not None and waiting >= events_min:
        for _ in range(SEGMENTS_MAX):
            if size >= limit.seal.size:
                break
            segment = write_segment(size, last_id, _next_seal(size, limit.seal), where)
            if not _record(segment, actor):
                break  # another pass was first
            size, last_id = segment.size, segment.last_id
            found.segments.append(segment.path)
            found.events += segment.events
            found.bytes += segment.bytes
    last = last_segment()
    if last is not None:
        found.archived_to, found.archived_events = last.last_id, last.size
        if not dry_run:
            found.removed_rows, found.kept_rows = remove_rows(last.last_id)
            found.removed_tiles = remove_tiles(last.size)
    return found


def _next_seal(size: int, limit: CronSeal) -> CronSeal:
    """With which the next segment ends."""
    later = seals().filter(size__gt=size, size__lte=limit.size)
    return later.filter(size__lte=size + SEGMENT_EVENTS).last() or later.first() or limit


def _record(segment: CronSegment, actor: str) -> bool:
    """From here on its rows may go. False when another pass recorded one from there on."""
    db = store.connection()
    event = make.events_archived(
        path=segment.path,
        first_number=segment.first,
        size=segment.size,
        first_id=segment.first_id,
        last_id=segment.last_id,
        sha256=segment.sha256,
        actor=actor,
        at=clock.now(),
    )
    try:
        with transaction.atomic(using=db.alias):
            segment.save(using=db.alias, force_insert=True)
            store.append_next([event])
    except IntegrityError:
        last = last_segment()
        if last is not None and last.size > segment.first:
            return False
        raise
    reach("segment_recorded")
    return True
