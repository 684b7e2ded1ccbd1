"""Going through the log event by event, beside what was signed about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice

from ..core.archive.row import row_of
from ..core.codec import Row
from ..core.seal.leaf import leaf
from ..core.seal.merkle import Frontier, inclusion_holds, inclusion_proof, leaf_hash
from ..core.seal.tiles import (
    HASH_BYTES,
    HEIGHT,
    WIDTH,
    LoadTile,
    TileMissing,
    subtree_of,
    tile_path,
    tile_root,
)
from ..errors import SegmentUnavailable
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronSegment
from .archived.passage import Passage
from .difference import AHEAD_MAX, Finding, Kind, difference
from .outside import Claim
from .segments import frontier_of
from .stored import StoredTiles

__all__ = ["Tree", "Walk"]

PAGE_EVENTS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Tiles that are said to belong to a signed root."""

    size: int
    root: bytes
    load: LoadTile
    source: str

    def hashes(self, start: int, end: int) -> list[bytes]:
        """Within one tile."""
        number, place = divmod(start, WIDTH)
        tile = self.load(0, number)
        return [
            tile[at * HASH_BYTES : (at + 1) * HASH_BYTES]
            for at in range(place, place + end - start)
        ]

    def is_right(self, index: int, hash_: bytes) -> bool:
        """Whether the tiles lead from this hash to the root: a tile may be damaged by itself."""
        try:
            proof = inclusion_proof(index, self.size, subtree_of(self.load))
        except TileMissing:
            return False
        return inclusion_holds(index, self.size, hash_, proof, self.root)


@dataclass(slots=True)
class Walk:
    """Where it is."""

    index: int
    """How many events are behind it."""
    last_id: int
    frontier: Frontier
    trees: list[Tree]
    """The more trusted ones first."""
    agreed: int = 0
    """The size of the last claim that agreed."""
    damaged: list[Finding] = field(default_factory=list)
    """Tiles that are not what was signed; the rest of theirs was not used."""
    archived: Passage = field(default_factory=lambda: Passage(0))
    stored: LoadTile = field(default_factory=StoredTiles)
    """The tiles of the database."""
    _is_lost: bool = False
    """The frontier is not known: between two segments that are out of reach."""
    _outside: tuple[int, int] = field(default=(0, 0))
    """Size and last event of the last claim from outside that agreed."""

    def along(
        self, claims: Sequence[Claim], until: int, passed: Callable[[int], None]
    ) -> Finding | None:
        """Up to the last of the claims (in the order of their sizes), or the first thing that is wrong;
        ``passed`` is told of each size where all was right. No event behind ``until`` is read.
        """
        rows = _rows(max(self.last_id, self.archived.last_id), until)
        for size, same in groupby(claims, key=lambda claim: claim.size):
            together = list(same)
            while self.index < size:
                if self.index < self.archived.size:
                    found = self._step_archived(size)
                else:
                    rows, found = self._step(rows, size, together)
                if found is not None:
                    return found
            if self.index > size or self._is_lost:
                continue  # within segments that are out of reach
            for claim in together:
                found = self._judged(claim)
                if found is not None:
                    return found
            self.agreed = size
            passed(size)
        return None

    def _step(
        self, rows: Iterator[Row], size: int, claims: Sequence[Claim]
    ) -> tuple[Iterator[Row], Finding | None]:
        """To the end of a tile, or of what the next claims are about."""
        end = min(size, (self.index // WIDTH + 1) * WIDTH)
        here = list(islice(rows, end - self.index))
        hashes = [leaf_hash(leaf(row)) for row in here]
        for tree in [tree for tree in self.trees if tree.size >= end][:1]:
            wanted = tree.hashes(self.index, end)
            if hashes == wanted:
                break
            pairs = enumerate(zip(hashes, wanted, strict=False))
            same = next((at for at, (one, other) in pairs if one != other), len(hashes))
            if not tree.is_right(self.index + same, wanted[same]):
                self._leave(tree)
                return self._step(chain(here, rows), size, claims)
            if same:
                self.last_id = here[same - 1][0]
            ahead = list(islice(chain(here[same:], rows), AHEAD_MAX))
            known = self._known(tree, self.index + same)
            found = difference(self.index + same, self.last_id, ahead, known, tree.source)
            return rows, found
        if len(here) < end - self.index:
            return rows, self._ended(claims[0], len(here))
        for hash_ in hashes:
            self.frontier.push(hash_)
        self.index, self.last_id = end, here[-1][0]
        return rows, None

    def _step_archived(self, size: int) -> Finding | None:
        """The same, in a segment; beyond it, where it is out of reach."""
        segment = self.archived.segment(self.index)
        end = min(size, segment.size, (self.index // WIDTH + 1) * WIDTH)
        lines = self.archived.take(self.index, end)
        if lines is None:
            return self._jump(segment)
        hashes = [leaf_hash(line) for line in lines]
        for tree in [tree for tree in self.trees if tree.size >= end]:
            wanted = tree.hashes(self.index, end)
            if hashes == wanted or not all(wanted):  # those in the database went with the rows
                continue
            pairs = enumerate(zip(hashes, wanted, strict=True))
            place = next(at for at, (one, other) in pairs if one != other)
            if tree.is_right(self.index + place, wanted[place]):
                rows = [row_of(line) for line in lines[place:]]
                known = self._known(tree, self.index + place)
                return difference(self.index + place, self.last_id, rows, known, tree.source)
            self._leave(tree)
        kept = self.archived.kept
        for number, line in enumerate(lines, self.index):
            found = kept.compare(number, line) if kept is not None else None
            if found is not None:
                return found
        self._push(hashes)
        self.index, self.last_id = end, row_of(lines[-1])[0]
        return kept.end() if kept is not None and end == self.archived.size else None

    def _push(self, hashes: Sequence[bytes]) -> None:
        """Whole tiles as one, which shows whether the level above is right."""
        number, place = divmod(self.index, WIDTH)
        if place or len(hashes) < WIDTH:
            for hash_ in hashes:
                self.frontier.push(hash_)
            return
        root = tile_root(b"".join(hashes))
        self.frontier.push(root, HEIGHT)
        above, place = divmod(number, WIDTH)
        if self.stored(1, above)[place * HASH_BYTES : (place + 1) * HASH_BYTES] != root:
            text = f"Tile {tile_path(1, above)} is damaged: no proof can rest on it."
            if text not in [finding.text for finding in self.damaged]:
                self.damaged.append(Finding(kind=Kind.TILE, text=text, leaf=self.index))

    def _jump(self, segment: CronSegment) -> Finding | None:
        """Behind a segment that is out of reach, by what the next one, or at last the tiles, say of it."""
        self.index, self.last_id = segment.size, segment.last_id
        self._is_lost = False
        try:
            if self.index < self.archived.size:
                self.frontier = frontier_of(self.archived.segment(self.index))
            else:
                self.frontier = Frontier.at(self.index, subtree_of(self.stored))
        except SegmentUnavailable:
            self._is_lost = True  # it is jumped over next
        except TileMissing as error:
            text = f"Nothing behind event {segment.last_id} can be compared: {error}."
            return Finding(kind=Kind.TILE, text=text, event_id=segment.last_id)
        return None

    def _leave(self, tree: Tree) -> None:
        path = tile_path(0, self.index // WIDTH)
        text = f"Tile {path} is damaged ({tree.source}): no proof can rest on it."
        self.damaged.append(Finding(kind=Kind.TILE, text=text, leaf=self.index))
        self.trees.remove(tree)

    def _known(self, tree: Tree, start: int) -> list[bytes]:
        """The hashes of the next leaves, as far as is looked at."""
        found: list[bytes] = []
        last = min(tree.size, start + AHEAD_MAX)
        while start < last:
            end = min(last, (start // WIDTH + 1) * WIDTH)
            found += tree.hashes(start, end)
            start = end
        return found

    def _ended(self, claim: Claim, rest: int) -> Finding:
        have = self.index + rest
        return Finding(
            kind=Kind.MISSING,
            text=f"{claim.size - have} events are missing at the end of the log, which has {have} here: "
            f"{claim.source} is about {claim.size}.",
            event_id=self.last_id,
            leaf=have,
        )

    def _judged(self, claim: Claim) -> Finding | None:
        if self.frontier.root() == claim.root:
            if claim.last_id is not None and claim.last_id != self.last_id:
                return Finding(
                    kind=Kind.SEAL,
                    text=f"{claim.source} says that it ends with event {claim.last_id}, and its last "
                    f"event is {self.last_id}.",
                    event_id=self.last_id,
                )
            if claim.is_outside:
                self._outside = (claim.size, self.last_id)
            return None
        size, last_id = self._outside if claim.is_outside else (self.agreed, None)
        since = f"behind the first {size} events" if size else "from the first event on"
        if size and last_id is not None:
            since += f", which end with event {last_id}"
        return Finding(
            kind=Kind.CHECKPOINT if claim.is_outside else Kind.SEAL,
            text=f"{claim.source} is about other events than the first {claim.size} of the log, which "
            f"end with event {self.last_id}. The first difference lies {since}.",
            event_id=self.last_id,
            leaf=claim.size - 1,
        )


def _rows(after: int, until: int) -> Iterator[Row]:
    db = store.connection()
    while True:
        page = backend_of(db).read(db, after, until, PAGE_EVENTS)
        yield from page
        if len(page) < PAGE_EVENTS:
            return
        after = page[-1][0]
