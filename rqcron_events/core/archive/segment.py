"""The file: gzip of lines. The first is a header; each other one is an event, and is its leaf, byte by byte.

The header has the frontier of the tree before the first event (the hashes of the complete subtrees that it
consists of, the largest first) and the signed checkpoint behind the last one. Frontier and lines lead to the
root that was signed, so the file is checked with nothing but the public key.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, BinaryIO, Self

from ..codec import Row
from ..seal.checkpoint import Checkpoint
from ..seal.leaf import leaf
from ..seal.merkle import Frontier, leaf_hash
from ..seal.note import NoteRefused, Verifier

__all__ = ["FORMAT", "Header", "SegmentReader", "SegmentRefused", "SegmentWriter", "segment_path"]

FORMAT = "rqcron-segment/1"
HEADER_BYTES_MAX = 1_000_000
LINE_BYTES_MAX = 64 << 20
"""Of an event: ``data`` has 4 MB at most, and more where its characters are escaped."""
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)


class SegmentRefused(ValueError):
    """The file is no segment, or not what was sealed."""


def segment_path(first: int, size: int) -> str:
    """Below the prefix of the storage.

    >>> segment_path(0, 100_000)
    'segments/000000000000-000000100000.jsonl.gz'
    """
    return f"segments/{first:012d}-{size:012d}.jsonl.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line."""

    format: str = FORMAT
    origin: str
    """Which log: the name of its key."""
    first: int
    """The number of the first event among all, from 0."""
    size: int
    """The number after the last one, which is the size of the tree by then."""
    first_id: int
    last_id: int
    occurred: tuple[str | None, str | None]
    """The earliest and the latest ``occurred_at``, which nothing proves; None where no event has one."""
    frontier: tuple[str, ...]
    """In base64."""
    checkpoint: str
    """A signed note."""

    @property
    def events(self) -> int:
        return self.size - self.first

    @property
    def line(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Self:
        """Raises SegmentRefused."""
        try:
            data = json.loads(line)
            data |= {"occurred": tuple(data["occurred"]), "frontier": tuple(data["frontier"])}
            found = cls(**{field.name: data[field.name] for field in fields(cls)})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SegmentRefused(f"it is no segment: no header ({type(error).__name__})") from None
        if found.format != FORMAT:
            raise SegmentRefused(
                f"its format is {found.format!r:.60}, and this release reads {FORMAT}"
            )
        numbers = (found.first, found.size, found.first_id, found.last_id)
        if (
            any(type(number) is not int for number in numbers)
            or not 0 <= found.first < found.size
            or not found.first_id <= found.last_id
        ):
            raise SegmentRefused("its header has numbers that cannot be")
        return found

    def started(self) -> Frontier:
        """The tree before the first event. Raises SegmentRefused."""
        try:
            hashes = [base64.b64decode(text, validate=True) for text in self.frontier]
        except (binascii.Error, ValueError, TypeError):
            hashes = []
        if len(hashes) != self.first.bit_count() or any(len(each) != 32 for each in hashes):
            raise SegmentRefused("its frontier is none")
        return Frontier(self.first, hashes)

    def opened(self, keys: Iterable[Verifier], origin: str) -> Checkpoint:
        """What was signed. Raises SegmentRefused unless one of the keys did, about this log and size."""
        try:
            found = Checkpoint.opened(self.checkpoint, keys, origin)
        except (NoteRefused, TypeError, AttributeError) as error:
            raise SegmentRefused(f"its checkpoint is refused: {error}") from error
        if found.size != self.size or self.origin != origin:
            raise SegmentRefused(f"its checkpoint is about {found.size} events, not {self.size}")
        return found


class SegmentWriter:
    """Takes rows in the order of their ids, into a file of its own: the header comes first, and is known
    last. Nothing is kept in memory."""

    def __init__(self, body: BinaryIO, frontier: Frontier) -> None:
        """
        :param body: an empty file for reading and writing.
        :param frontier: the tree before the first row.
        """
        self.tree = frontier.copy()
        self._body = body
        self._gzip = gzip.GzipFile("", "wb", 6, body, mtime=0)
        self._first, self._hashes = frontier.size, frontier.hashes
        self._first_id: int | None = None
        self._last_id = 0
        self._earliest: datetime | None = None
        self._latest: datetime | None = None

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            line = leaf(row)
            self.tree.push(leaf_hash(line))
            self._gzip.write(line + b"\n")
            at = row[11]
            if at is not None:
                self._earliest = min(self._earliest or at, at)
                self._latest = max(self._latest or at, at)
        if rows and self._first_id is None:
            self._first_id = rows[0][0]
        self._last_id = rows[-1][0] if rows else self._last_id

    def finish(self, out: BinaryIO, origin: str, checkpoint: str) -> Header:
        """Write the whole file. At least one row has to be in it."""
        self._gzip.close()
        header = Header(
            origin=origin,
            first=self._first,
            size=self.tree.size,
            first_id=self._first_id or 0,
            last_id=self._last_id,
            occurred=(_text(self._earliest), _text(self._latest)),
            frontier=tuple(base64.b64encode(each).decode() for each in self._hashes),
            checkpoint=checkpoint,
        )
        # Two members, which readers of gzip put together.
        with gzip.GzipFile("", "wb", 6, out, mtime=0) as compressed:
            compressed.write(header.line)
        self._body.seek(0)
        shutil.copyfileobj(self._body, out)
        return header

    def close(self) -> None:
        """Also where it is not finished, and before the file is closed."""
        self._gzip.close()


class SegmentReader:
    """Reads a segment line by line. ``header`` is there at once, and the signature of its checkpoint
    checked; that the lines are what was signed is known when the last one was read: iterating
    raises SegmentRefused then. OSError of the file goes through.
    """

    def __init__(self, file: BinaryIO, keys: Sequence[Verifier], origin: str) -> None:
        """
        :param keys: whose signatures count.
        :param origin: the name of the log.
        """
        self._file: Any = gzip.GzipFile("", "rb", fileobj=file)
        line = self._line(HEADER_BYTES_MAX)
        self.header = Header.of(line)
        self._tree = self.header.started()
        self._root = self.header.opened(keys, origin).root

    def __iter__(self) -> Iterator[bytes]:
        """The events, without the newlines."""
        header, tree, line = self.header, self._tree, b""
        for index in range(header.first, header.size):
            line = self._line(LINE_BYTES_MAX)[:-1]
            if index == header.first and _id(line) != header.first_id:
                raise SegmentRefused("it does not begin with the event that its header says")
            tree.push(leaf_hash(line))
            yield line
        if self._line(LINE_BYTES_MAX, last=True):
            raise SegmentRefused(f"it has more than the {header.events} events of its header")
        if tree.root() != self._root:
            raise SegmentRefused("its events are not those that were sealed")
        if _id(line) != header.last_id:
            raise SegmentRefused("it does not end with the event that its header says")

    def check(self) -> Header:
        """Read all of it. Raises SegmentRefused."""
        for _ in self:
            pass
        return self.header

    def _line(self, bytes_max: int, *, last: bool = False) -> bytes:
        try:
            line: bytes = self._file.readline(bytes_max)
        except _BROKEN as error:
            raise SegmentRefused(f"it is damaged, or not whole: {error}") from None
        if not line.endswith(b"\n") and not (last and not line):
            raise SegmentRefused("it is not whole: a line has no end")
        return line


def _id(line: bytes) -> Any:
    try:
        return json.loads(line)["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _text(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
