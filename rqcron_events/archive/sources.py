"""Segments to be restored: files of this machine, or of one of Django's STORAGES."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.storage import storages

from ..core.archive.segment import Header, SegmentReader, SegmentRefused
from ..core.seal.merkle import leaf_hash
from ..core.seal.note import Verifier
from ..errors import RestoreRefused

__all__ = ["Source", "chain", "files", "stored"]

DIRECTORY = "segments"
ENDING = ".gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file, which may be anything until it is read."""

    name: str
    read: Callable[[], bytes]

    def reader(self, keys: Sequence[Verifier]) -> SegmentReader:
        """Raises SegmentRefused, and RestoreRefused for a file that cannot be read at all."""
        try:
            content = self.read()
        except Exception as error:  # storages raise what their libraries do
            text = " ".join(str(error).split())
            raise RestoreRefused(
                f"{self.name} cannot be read: {type(error).__name__}: {text:.300}."
            ) from error
        return SegmentReader(io.BytesIO(content), keys, keys[0].name)


def files(names: Sequence[str]) -> list[Source]:
    """Each name is a file, or a directory with segments in it, however deep. Raises RestoreRefused where there is
    none."""
    found: list[Source] = []
    for name in names:
        path = Path(name)
        inside = sorted(path.rglob(f"*{ENDING}")) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise RestoreRefused(f"{name} is no segment and no directory with segments in it.")
        found += [Source(name=str(each), read=each.read_bytes) for each in inside]
    return found


def stored(alias: str, prefix: str = "") -> list[Source]:
    """Those that ``cron_archive`` wrote there. Raises RestoreRefused where there are none."""
    directory = f"{prefix.strip('/')}/{DIRECTORY}".lstrip("/")
    try:
        storage: Any = storages[alias]
        names = sorted(storage.listdir(directory)[1])
    except Exception as error:
        text = " ".join(str(error).split())
        raise RestoreRefused(
            f"Storage {alias!r} does not list {directory}: {type(error).__name__}: {text:.300}."
        ) from error
    paths = [f"{directory}/{name}" for name in names if name.endswith(ENDING)]
    if not paths:
        raise RestoreRefused(f"Storage {alias!r} has no segments in {directory}.")
    return [Source(name=path, read=_Stored(storage, path)) for path in paths]


@dataclass(frozen=True, slots=True)
class _Stored:
    storage: Any
    path: str

    def __call__(self) -> bytes:
        with self.storage.open(self.path, "rb") as file:
            return bytes(file.read())


def chain(sources: Sequence[Source], keys: Sequence[Verifier]) -> list[tuple[Source, Header]]:
    """Those that make up the log, from its first event on: each is read to its end and verified, and begins
    where the one before ends. Files that are none of it, such as one that was left half written, are passed
    over. Raises RestoreRefused where one is missing or damaged.
    """
    begins: dict[int, list[tuple[Source, Header]]] = {}
    refused: list[str] = []
    for source in sources:
        try:
            header = source.reader(keys).header
        except SegmentRefused as error:
            refused.append(f"{source.name}: {error}")
            continue
        begins.setdefault(header.first, []).append((source, header))
    found: list[tuple[Source, Header]] = []
    size = 0
    while size in begins:
        whole = _whole(begins.pop(size), keys, refused)
        if whole is None:
            break
        found.append(whole)
        size = whole[1].size
    ends = max((header.size for same in begins.values() for _, header in same), default=0)
    if ends > size or not found:
        raise RestoreRefused(
            f"The segment that begins with event number {size} is missing or damaged."
            + "".join(f" Refused: {why}." for why in refused[:5])
            + " Give all segments of the log, from number 0 on, and the key that signed them."
        )
    return found


def _whole(
    same: Sequence[tuple[Source, Header]], keys: Sequence[Verifier], refused: list[str]
) -> tuple[Source, Header] | None:
    """The longest that is right, of those that begin with the same event. The others have to be its beginning:
    after a log went back, two that are signed may be of two histories."""
    for source, header in sorted(same, key=lambda pair: -pair[1].size):
        tree, roots = header.started(), dict[int, bytes]()
        sizes = {other.size for _, other in same}
        try:
            for line in source.reader(keys):
                tree.push(leaf_hash(line))
                if tree.size in sizes:
                    roots[tree.size] = tree.root()
        except SegmentRefused as error:
            refused.append(f"{source.name}: {error}")
            continue
        for other, header_of_other in same:
            root = header_of_other.opened(keys, keys[0].name).root
            if roots.get(header_of_other.size, root) != root:
                raise RestoreRefused(
                    f"{source.name} and {other.name} begin with the same event number and are of two histories of this "
                    "log, as after it went back. Leave out those of one history."
                )
        return source, header
    return None
