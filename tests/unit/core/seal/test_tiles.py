"""Tiles as C2SP tlog-tiles lays them out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.seal.merkle import Frontier, leaf_hash, root_of
from rqcron_events.core.seal.tiles import (
    HASH_BYTES,
    TileMissing,
    grown,
    index_path,
    subtree_of,
    tile_path,
    widths,
)

HASHES = [leaf_hash(str(number).encode()) for number in range(70_000)]


def test_paths_of_the_specification():
    assert index_path(1234067) == "x001/x234/067"
    assert (index_path(0), index_path(999), index_path(1000)) == ("000", "999", "x001/000")
    assert tile_path(0, 273, 112) == "0/273.p/112"
    assert tile_path(1, 5) == "1/005"


def test_a_tree_of_70_000_has_the_tiles_that_the_specification_says():
    assert list(widths(70_000)) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert list(widths(256)) == [(0, 1, 0), (1, 0, 1)]
    assert list(widths(0)) == []
    tiles = grown(lambda *_: b"", 0, HASHES)
    assert len(tiles) == 274 + 2 + 1
    assert len(tiles[0, 273]) == 112 * HASH_BYTES
    assert len(tiles[1, 0]) == 256 * HASH_BYTES


@given(st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_however_it_grew_the_tiles_are_the_same_and_give_each_root(steps):
    tiles: dict[tuple[int, int], bytes] = {}
    size, known = 0, Frontier()

    def load(level: int, number: int) -> bytes:
        return tiles.get((level, number), b"")

    for step in steps:
        tiles |= grown(load, size, HASHES[size : size + step])
        for hash_ in HASHES[size : size + step]:
            known.push(hash_)
        size += step
        assert root_of(size, subtree_of(load)) == known.root()
    assert tiles == grown(lambda *_: b"", 0, HASHES[:size])


def test_missing_tiles_are_named():
    with pytest.raises(TileMissing, match=r"tile 0/001\.p/44 is not there"):
        grown(lambda *_: b"", 300, HASHES[:1])
    with pytest.raises(TileMissing, match="0 hashes where 2 belong"):
        root_of(3, subtree_of(lambda *_: b""))
