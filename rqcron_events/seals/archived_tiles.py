"""Tiles of events that are archived: the database does not have those of level 0 any more, and segments give
them again."""

from __future__ import annotations

from ..core.seal.merkle import leaf_hash
from ..core.seal.tiles import HASH_BYTES, WIDTH
from ..models import CronSegment
from .segments import lines_of, segments
from .stored import StoredTiles

__all__ = ["WholeTiles", "hashes_of"]


def hashes_of(segment: CronSegment) -> bytes:
    """Of its events, one after the other. Raises SegmentUnavailable."""
    return b"".join([leaf_hash(line) for line in lines_of(segment)])


class WholeTiles(StoredTiles):
    """The stored tiles, and those of archived events. Calls raise SegmentUnavailable where one is needed that
    is out of reach."""

    def __init__(self, ahead: int = 1) -> None:
        super().__init__(ahead)
        self._hashes: tuple[int, bytes] = (-1, b"")
        """Of the segment that was read last: its first event's number, and the hashes."""

    def __call__(self, level: int, number: int) -> bytes:
        return super().__call__(level, number) or (b"" if level else self._archived(number))

    def _archived(self, number: int) -> bytes:
        start, end = number * WIDTH, (number + 1) * WIDTH
        found = b""
        for segment in segments().filter(size__gt=start, first__lt=end):
            if self._hashes[0] != segment.first:
                self._hashes = segment.first, hashes_of(segment)
            low, high = (max(at - segment.first, 0) * HASH_BYTES for at in (start, end))
            found += self._hashes[1][low:high]
        return found if len(found) == WIDTH * HASH_BYTES else b""
