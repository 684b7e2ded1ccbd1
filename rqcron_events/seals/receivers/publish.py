"""A tree put where it can be read by everybody: tiles, and checkpoints beside them (C2SP tlog-tiles)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ...core.seal.checkpoint import Checkpoint
from ...core.seal.merkle import root_of
from ...core.seal.note import NoteRefused, Verifier
from ...core.seal.tiles import (
    HASH_BYTES,
    WIDTH,
    LoadTile,
    index_path,
    subtree_of,
    tile_path,
    widths,
)

__all__ = ["CHECKPOINT", "CONTRADICTION", "NotTaken", "Place", "publish"]

CHECKPOINT = "checkpoint"
CONTRADICTION = "knows another log: "
"""How the text of a NotTaken begins where it is no trouble of the receiver's: that does not pass by itself."""


class NotTaken(Exception):
    """The receiver was not reached, or did not take the checkpoint. Its text shows no secret."""


class Place(Protocol):
    """Names are relative paths with slashes."""

    def read(self, name: str) -> bytes | None:
        """None where there is nothing."""

    def write(self, name: str, content: bytes) -> None:
        """Replaces what is there."""

    def remove_all(self, name: str) -> None:
        """What lies below a name, if anything."""


def publish(place: Place, note: str, load: LoadTile, keys: list[Verifier]) -> bool:
    """Bring the place up to this checkpoint; False when it has it already. It can be killed at any time,
    and be done again. Raises NotTaken where what is there does not belong before it.
    """
    own = Checkpoint.of(note.rpartition("\n\n")[0] + "\n")
    known = _known(place, own, load, keys)
    if known == own.size:
        return False
    before = {level: (full, width) for level, full, width in widths(known)}
    for level, full, width in widths(own.size):
        old_full, old_width = before.get(level, (0, 0))
        for number, wide in _new(old_full, full, width):
            tile = load(level, number)[: wide * HASH_BYTES]
            place.write(f"tile/{tile_path(level, number, wide)}", tile)
        if old_width and old_full < full:
            place.remove_all(f"tile/{tile_path(level, old_full)}.p")
    place.write(f"checkpoints/{index_path(own.size)}", note.encode())
    place.write(CHECKPOINT, note.encode())  # last: it says that all else is there
    return True


def _new(old_full: int, full: int, width: int) -> Iterator[tuple[int, int]]:
    """Tiles that became full, and the one behind them that is not."""
    for number in range(old_full, full):
        yield number, WIDTH
    if width:
        yield full, width


def _known(place: Place, own: Checkpoint, load: LoadTile, keys: list[Verifier]) -> int:
    """The size of the tree that the place has."""
    content = place.read(CHECKPOINT)
    if content is None:
        return 0
    try:
        there = Checkpoint.opened(content.decode(errors="replace"), keys, own.origin)
    except NoteRefused as error:
        text = f"the checkpoint that it has is not of this log: {error}"
        raise NotTaken(CONTRADICTION + text) from error
    if there.size > own.size:
        raise NotTaken(
            f"{CONTRADICTION}it knows {there.size} events, and only {own.size} are sealed here: the log went back, as "
            "after a restored backup. See cron_verify --checkpoint"
        )
    if there.size and root_of(there.size, subtree_of(load)) != there.root:
        raise NotTaken(
            f"{CONTRADICTION}its checkpoint of {there.size} events is not of the same events as here: the log was "
            "changed, or went back. See cron_verify --checkpoint"
        )
    return there.size
