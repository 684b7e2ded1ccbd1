"""The tree cut into tiles of 256 hashes, as C2SP tlog-tiles lays it out.

A tile of level 0 has hashes of leaves; one of a higher level, the hash of a full tile below for each. Its
hashes stand one after the other, and there may be fewer than 256 in the last tile of a level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .merkle import Subtree, node_hash

__all__ = [
    "HASH_BYTES",
    "HEIGHT",
    "WIDTH",
    "LoadTile",
    "TileMissing",
    "grown",
    "index_path",
    "subtree_of",
    "tile_path",
    "tile_root",
    "widths",
]

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH_BYTES = 32

LoadTile = Callable[[int, int], bytes]
"""The hashes of a tile, by level and number; it may be wider than asked for, and is empty when there is none."""


class TileMissing(ValueError):
    """The tiles do not have what is asked for."""


def index_path(index: int) -> str:
    """A number as a path of three digits each.

    >>> index_path(1234067)
    'x001/x234/067'
    """
    text = f"{index % 1000:03d}"
    while index := index // 1000:
        text = f"x{index % 1000:03d}/{text}"
    return text


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Where a tile is served, below ``tile/``.

    >>> tile_path(0, 273, 112)
    '0/273.p/112'
    """
    return f"{level}/{index_path(number)}" + (f".p/{width}" if width < WIDTH else "")


def widths(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, number of full tiles, and width of the partial one behind them (0: there is none)."""
    level = 0
    while size:
        full, width = divmod(size, WIDTH)
        yield level, full, width
        level, size = level + 1, full


def tile_root(hashes: bytes, height: int = HEIGHT) -> bytes:
    """The root over 2**height hashes."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    if len(row) != 1 << height:
        raise TileMissing(f"{len(row)} hashes where {1 << height} belong")
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def subtree_of(load: LoadTile) -> Subtree:
    """The hashes of complete subtrees, out of tiles. Raises TileMissing, a ValueError."""

    def subtree(height: int, number: int) -> bytes:
        level, above = divmod(height, HEIGHT)
        tile, place = divmod(number << above, WIDTH)
        start = place * HASH_BYTES
        return tile_root(load(level, tile)[start : start + (HASH_BYTES << above)], above)

    return subtree


def grown(load: LoadTile, size: int, leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles that change when these hashes of leaves come after the first ``size``."""
    changed: dict[tuple[int, int], bytes] = {}
    level, hashes = 0, list(leaves)
    while hashes:
        number, width = divmod(size >> HEIGHT * level, WIDTH)
        known = load(level, number)[: width * HASH_BYTES] if width else b""
        if len(known) != width * HASH_BYTES:
            raise TileMissing(f"tile {tile_path(level, number, width)} is not there")
        hashes[:0] = [known[at : at + HASH_BYTES] for at in range(0, len(known), HASH_BYTES)]
        above: list[bytes] = []
        for start in range(0, len(hashes), WIDTH):
            tile = b"".join(hashes[start : start + WIDTH])
            changed[level, number] = tile
            number += 1
            if len(tile) == WIDTH * HASH_BYTES:
                above.append(tile_root(tile))
        level, hashes = level + 1, above
    return changed
