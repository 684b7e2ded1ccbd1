"""Checkpoints that were kept outside of the database, and the tiles beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ..core.seal.checkpoint import Checkpoint
from ..core.seal.merkle import root_of
from ..core.seal.note import NOTE_BYTES_MAX, NoteRefused, Verifier
from ..core.seal.tiles import LoadTile, TileMissing, subtree_of, tile_path
from ..errors import CronConfigError
from .receivers.publish import CHECKPOINT
from .receivers.send import NotTaken, newest_at

__all__ = ["Claim", "Outside", "ask_receivers", "read_outside"]

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A signed statement about the log."""

    size: int
    root: bytes
    source: str
    """Where it stands, for people."""
    is_outside: bool
    last_id: int | None = None
    """Of a seal: the last event that it covers."""


@dataclass(slots=True)
class Outside:
    """What others were told."""

    claims: list[Claim] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """One sentence for each that is no checkpoint of this log, or whose tiles do not belong to it."""
    trees: list[tuple[Claim, LoadTile]] = field(default_factory=list)
    """Tiles that belong to a claim."""
    not_asked: list[str] = field(default_factory=list)
    """One sentence for each receiver that did not answer."""


def read_outside(sources: Sequence[str], keys: list[Verifier], stdin: TextIO) -> Outside:
    """Each source is a file, a directory as receivers write it or with files in it, or ``-``.

    Raises CronConfigError for one that cannot be read at all.
    """
    found = Outside()
    for source in sources:
        before = len(found.claims)
        seen: set[str] = set()
        for name, text in _notes(source, stdin):
            if text in seen:  # the newest stands in a receiver's directory twice
                continue
            seen.add(text)
            try:
                point = Checkpoint.opened(text, keys, keys[0].name)
            except NoteRefused as error:
                found.refused.append(f"Checkpoint {name}: {error}.")
                continue
            claim = Claim(size=point.size, root=point.root, source=name, is_outside=True)
            found.claims.append(claim)
        own = found.claims[before:]
        if own and (Path(source) / "tile").is_dir():
            _add_tiles(found, Path(source), max(own, key=lambda claim: claim.size))
    return found


def ask_receivers(receivers: Mapping[str, Mapping[str, Any]], keys: list[Verifier]) -> Outside:
    """The newest checkpoint of each receiver that can be read, with its tiles where they are files of this machine."""
    found = Outside()
    for name, options in receivers.items():
        source = f"Checkpoint of receiver {name!r}"
        try:
            text = newest_at(options)
        except NotTaken as error:
            found.not_asked.append(f"Receiver {name!r} was not asked: {error}.")
            continue
        if text is None:
            continue
        try:
            point = Checkpoint.opened(text[:NOTE_BYTES_MAX], keys, keys[0].name)
        except NoteRefused as error:
            found.refused.append(f"{source}: {error}.")
            continue
        claim = Claim(size=point.size, root=point.root, source=source, is_outside=True)
        found.claims.append(claim)
        if options["kind"] != "storage" and (Path(options["path"]) / "tile").is_dir():
            _add_tiles(found, Path(options["path"]), claim)
    return found


def _notes(source: str, stdin: TextIO) -> Iterator[tuple[str, str]]:
    if source == STDIN:
        yield "of the standard input", stdin.read(NOTE_BYTES_MAX)
        return
    path = Path(source)
    files = [path]
    if path.is_dir():
        told = [path / CHECKPOINT, *sorted((path / "checkpoints").rglob("*"))]
        files = [file for file in told if file.is_file()]
        files = files or sorted(file for file in path.iterdir() if file.is_file())
    if not files:
        raise CronConfigError(f"--checkpoint {source} has no files in it.")
    for file in files:
        try:
            with file.open(encoding="utf-8", errors="replace") as stream:
                yield str(file), stream.read(NOTE_BYTES_MAX)
        except OSError as error:
            raise CronConfigError(
                f"--checkpoint {file} cannot be read: {error.strerror}."
            ) from None


def _add_tiles(found: Outside, directory: Path, claim: Claim) -> None:
    load = _Tiles(directory / "tile")
    try:
        is_right = root_of(claim.size, subtree_of(load)) == claim.root
    except (TileMissing, OSError):
        is_right = False
    if is_right:
        found.trees.append((claim, load))
    else:
        found.refused.append(f"The tiles in {directory} do not belong to its checkpoint.")


class _Tiles:
    """The widest of each that is there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last: tuple[int, int, bytes] = (-1, -1, b"")

    def __call__(self, level: int, number: int) -> bytes:
        if self._last[:2] != (level, number):
            self._last = (level, number, self._read(level, number))
        return self._last[2]

    def _read(self, level: int, number: int) -> bytes:
        full = self._directory / tile_path(level, number)
        partial = full.with_name(f"{full.name}.p")
        widths = [int(file.name) for file in partial.glob("*") if file.name.isdigit()]
        widest = [partial / str(max(widths))] if widths else []
        # The full one last: it appears before the partial ones go.
        for file in (full, *widest, full):
            with suppress(FileNotFoundError):
                return file.read_bytes()
        return b""
