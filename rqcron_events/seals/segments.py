"""Archived segments, where they are within reach: each is verified before anything in it is believed."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import Any

from django.core.files.storage import storages
from django.db.models import QuerySet

from ..conf import conf
from ..core.archive.row import row_of
from ..core.archive.segment import SegmentReader, SegmentRefused
from ..core.codec import Row
from ..core.seal.merkle import Frontier, leaf_hash
from ..core.seal.tiles import HASH_BYTES, WIDTH
from ..errors import SegmentDamaged, SegmentUnavailable
from ..models import CronSegment
from .keys import verifiers
from .stored import StoredTiles

__all__ = [
    "WholeTiles",
    "frontier_of",
    "hashes_of",
    "lines_of",
    "rows_between",
    "rows_of",
    "segments",
]

BYTES_KEPT_MAX = 64 << 20
"""Of files in memory: one question often reads a segment more than once."""

_files: OrderedDict[str, bytes] = OrderedDict()
"""Verified files by their SHA-256, the one that was used last at the end."""
_lock = Lock()


def segments() -> QuerySet[CronSegment]:
    """In the order of their events."""
    return CronSegment.objects.using(conf().database).order_by("size")


def frontier_of(segment: CronSegment) -> Frontier:
    """The tree before its first event. Raises SegmentUnavailable."""
    return _reader(segment, _file(segment)).header.started()


def lines_of(segment: CronSegment) -> Iterator[bytes]:
    """Its events, each as it was hashed. Raises SegmentUnavailable before the first one where the file cannot be
    read, or is not what was archived."""
    return iter(_reader(segment, _file(segment)))


def rows_of(segment: CronSegment, *needles: bytes) -> Iterator[Row]:
    """Its events as rows; with ``needles``, only those that have one of them in their line."""
    for line in lines_of(segment):
        if not needles or any(needle in line for needle in needles):
            yield row_of(line)


def rows_between(after: int, until: int) -> Iterator[Row]:
    """All archived events with ``after < id <= until``, in the order of their ids."""
    for segment in segments().filter(last_id__gt=after, first_id__lte=until):
        for row in rows_of(segment):
            if after < row[0] <= until:
                yield row


def _file(segment: CronSegment) -> bytes:
    with _lock:
        known = _files.get(segment.sha256)
        if known is not None:
            _files.move_to_end(segment.sha256)
            return known
    content = _content(segment)
    found = hashlib.sha256(content).hexdigest()
    if found != segment.sha256:
        raise _damaged(segment, f"its SHA-256 is {found}, and {segment.sha256} was archived")
    try:
        header = _reader(segment, content).check()
    except SegmentRefused as error:
        raise _damaged(segment, f"{error}") from error
    told = (segment.first, segment.size, segment.first_id, segment.last_id)
    if (header.first, header.size, header.first_id, header.last_id) != told:
        raise _damaged(segment, "it has other events than those that were archived")
    with _lock:
        _files[segment.sha256] = content
        while len(_files) > 1 and sum(map(len, _files.values())) > BYTES_KEPT_MAX:
            _files.popitem(last=False)
    return content


def _content(segment: CronSegment) -> bytes:
    try:
        storage: Any = storages[segment.storage]
        with storage.open(segment.path, "rb") as file:
            return bytes(file.read())
    except Exception as error:  # storages raise what their libraries do
        text = " ".join(str(error).split())
        raise _unavailable(segment, f"{type(error).__name__}: {text:.300}") from error


def _reader(segment: CronSegment, content: bytes) -> SegmentReader:
    keys = verifiers()
    if not keys:
        raise _unavailable(segment, "no key is known to verify it by: set RQCRON_SEAL_KEY")
    try:
        return SegmentReader(io.BytesIO(content), keys, keys[0].name)
    except SegmentRefused as error:
        raise _damaged(segment, f"{error}") from error


def _unavailable(segment: CronSegment, why: object) -> SegmentUnavailable:
    return SegmentUnavailable(segment.path, segment.storage, why)


def _damaged(segment: CronSegment, why: object) -> SegmentDamaged:
    return SegmentDamaged(segment.path, segment.storage, why)


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
