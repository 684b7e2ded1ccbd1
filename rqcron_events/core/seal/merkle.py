"""The tree of RFC 6962 over SHA-256: hashes, roots, and whether a proof holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "Subtree",
    "consistency_holds",
    "consistency_proof",
    "inclusion_holds",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_of",
]

_sha256 = hashlib.sha256
EMPTY_ROOT = _sha256(b"").digest()

Subtree = Callable[[int, int], bytes]
"""The hash of the complete subtree of 2**height leaves that is the n-th of its height."""


def leaf_hash(content: bytes) -> bytes:
    return _sha256(b"\0" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\1" + left + right).digest()


class Frontier:
    """The complete subtrees that a growing tree consists of, the largest first."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)

    @classmethod
    def at(cls, size: int, subtree: Subtree) -> Frontier:
        """That of a tree of ``size`` leaves."""
        return cls(size, [subtree(*place) for place in _complete(0, size)])

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Of the subtrees."""
        return tuple(self._hashes)

    def copy(self) -> Frontier:
        return Frontier(self.size, self._hashes)

    def push(self, subtree: bytes, height: int = 0) -> None:
        """Add a complete subtree of 2**height leaves, where no smaller one stands at the end."""
        rest = self.size >> height
        while rest & 1:
            subtree = node_hash(self._hashes.pop(), subtree)
            rest >>= 1
        self._hashes.append(subtree)
        self.size += 1 << height

    def root(self) -> bytes:
        return _folded(self._hashes)


def root_of(size: int, subtree: Subtree) -> bytes:
    """The root of the first ``size`` leaves."""
    return _range(0, size, subtree)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """That the leaf at ``index`` is among the first ``size``. Raises ValueError where it is not."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    low, high = 0, size
    path: list[bytes] = []
    while high - low > 1:
        middle = low + _half(high - low)
        if index < middle:
            path.append(_range(middle, high, subtree))
            high = middle
        else:
            path.append(_range(low, middle, subtree))
            low = middle
    return path[::-1]


def consistency_proof(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """That the first ``old`` leaves of the tree of ``size`` are the tree of ``old``."""
    if not 0 < old <= size:
        raise ValueError(f"a tree of {size} has none of {old} in it")
    low, high = 0, size
    path: list[bytes] = []
    while old != high:
        middle = low + _half(high - low)
        if old <= middle:
            path.append(_range(middle, high, subtree))
            high = middle
        else:
            path.append(_range(low, middle, subtree))
            low = middle
    if low:
        path.append(_range(low, high, subtree))
    return path[::-1]


def inclusion_holds(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the proof leads from the leaf's hash to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for hash_ in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(hash_, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, hash_)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def consistency_holds(
    old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the smaller tree is the beginning of the larger one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for hash_ in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(hash_, first), node_hash(hash_, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, hash_)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == root


def _half(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _complete(low: int, high: int) -> Iterable[tuple[int, int]]:
    """The complete subtrees of a range that begins where one as large as it may begin."""
    while low < high:
        height = (high - low).bit_length() - 1
        yield height, low >> height
        low += 1 << height


def _range(low: int, high: int, subtree: Subtree) -> bytes:
    return _folded([subtree(*place) for place in _complete(low, high)])


def _folded(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for hash_ in reversed(hashes[:-1]):
        root = node_hash(hash_, root)
    return root
