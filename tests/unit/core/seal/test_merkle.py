"""The tree of RFC 6962, by the roots that other implementations publish, and by its own definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.seal import merkle
from rqcron_events.core.seal.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
)

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the tests of Certificate Transparency: of the first leaf, the first two, and so on."""


def defined(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node_hash(defined(hashes[:half]), defined(hashes[half:]))


def subtree_of(hashes: list[bytes]) -> merkle.Subtree:
    return lambda height, number: defined(hashes[number << height : (number + 1) << height])


def hashes_of(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def test_the_published_roots():
    hashes = list(map(leaf_hash, LEAVES))
    grown = Frontier()
    for size, root in enumerate(ROOTS, start=1):
        grown.push(hashes[size - 1])
        assert grown.root().hex() == root
        assert root_of(size, subtree_of(hashes)).hex() == root
    assert Frontier().root() == EMPTY_ROOT == root_of(0, subtree_of([]))


@given(st.data())
def test_proofs_hold_and_no_other_does(data):
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    hashes = hashes_of(size)
    root, subtree = defined(hashes), subtree_of(hashes)
    proof = inclusion_proof(index, size, subtree)
    assert inclusion_holds(index, size, hashes[index], proof, root)
    assert not inclusion_holds(index, size, leaf_hash(b"other"), proof, root)
    for number in range(len(proof)):
        wrong = [*proof[:number], leaf_hash(b"wrong"), *proof[number + 1 :]]
        assert not inclusion_holds(index, size, hashes[index], wrong, root)
    other = data.draw(st.integers(0, size - 1))
    assert inclusion_holds(other, size, hashes[index], proof, root) == (other == index)
    assert not inclusion_holds(index, size, hashes[index], [*proof, root], root)
    assert not inclusion_holds(size, size, hashes[index], proof, root)

    old = data.draw(st.integers(1, size))
    old_root, path = defined(hashes[:old]), consistency_proof(old, size, subtree)
    assert consistency_holds(old, size, old_root, root, path)
    assert not consistency_holds(old, size, leaf_hash(b"x"), root, path)
    assert old == size or not consistency_holds(old, size, old_root, leaf_hash(b"x"), path)
    assert not consistency_holds(old, size, old_root, root, [*path, root])
    if path:
        assert not consistency_holds(old, size, old_root, root, path[:-1])


@given(st.integers(0, 200), st.integers(0, 60))
def test_a_frontier_goes_on_from_any_size(size, more):
    hashes = hashes_of(size + more)
    known = Frontier.at(size, subtree_of(hashes))
    kept = known.copy()
    for hash_ in hashes[size:]:
        known.push(hash_)
    assert known.size == size + more
    assert known.root() == (defined(hashes) if hashes else EMPTY_ROOT)
    assert kept.size == size


def test_whole_subtrees_are_pushed_as_their_leaves_are():
    hashes = hashes_of(12)
    known = Frontier()
    known.push(defined(hashes[:8]), 3)
    known.push(defined(hashes[8:]), 2)
    assert (known.size, known.root()) == (12, defined(hashes))
