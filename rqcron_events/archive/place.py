"""Where segments are: one of Django's STORAGES, and so any bucket by django-storages.

Nothing is ever deleted there, and nothing replaced that is there: what a process left half written is
useless and in nobody's way, and what seems so may be another's that is still being written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from django.core.files import File
from django.core.files.storage import storages

from ..conf import conf
from ..core.archive.segment import Header, SegmentReader, SegmentRefused
from ..core.seal.note import Verifier
from ..errors import ArchiveRefused, CronConfigError

__all__ = ["Place", "Stored", "place"]


class Stored(NamedTuple):
    """A segment as the storage gives it back, verified."""

    path: str
    header: Header
    sha256: str
    bytes: int


class Place:
    """Below a prefix of the storage. What it raises is an ArchiveRefused."""

    def __init__(self, alias: str, prefix: str = "") -> None:
        self.alias = alias
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def path(self, name: str) -> str:
        return self._prefix + name

    def exists(self, path: str) -> bool:
        with self._telling("look for", path):
            return bool(self._storage.exists(path))

    def save(self, path: str, content: BinaryIO) -> str:
        """Returns where it is: a storage may choose another name where there is a file."""
        with self._telling("take", path):
            return str(self._storage.save(path, File(content)))

    def read_back(self, path: str, keys: Sequence[Verifier], origin: str) -> Stored:
        """Raises SegmentRefused for a file that is no whole segment of this log."""
        with self._telling("give back", path), self._storage.open(path, "rb") as file:
            read = _Counted(file)
            header = SegmentReader(read, keys, origin).check()  # type: ignore[arg-type]
            return Stored(path, header, read.sha256.hexdigest(), read.bytes)

    @property
    def _storage(self) -> Any:
        return storages[self.alias]

    @contextmanager
    def _telling(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except SegmentRefused:
            raise
        except Exception as error:  # storages raise what their libraries do
            text = " ".join(str(error).split())
            raise ArchiveRefused(
                f"Storage {self.alias!r} does not {what} {path}: {type(error).__name__}: {text:.300}. "
                "Nothing was removed from the log. Mend the storage; the next pass goes on."
            ) from error


def place() -> Place:
    """That of the settings. Raises CronConfigError where there is none."""
    given = conf().archive
    if not given:
        raise CronConfigError(
            "RQCRON_ARCHIVE is not set, so events have no place to go. Set it to {'storage': 'an alias in "
            "STORAGES'}. See docs/archive.md"
        )
    return Place(given["storage"], given.get("prefix", ""))


class _Counted:
    """Hashes what is read: a reader of gzip reads all of a file."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.sha256, self.bytes = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._file.read(size)
        self.sha256.update(content)
        self.bytes += len(content)
        return content
