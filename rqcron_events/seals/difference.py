"""What is the matter at the first event that is not as it was sealed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ..core.codec import Row
from ..core.seal.leaf import leaf
from ..core.seal.merkle import leaf_hash

__all__ = ["AHEAD_MAX", "Finding", "Kind", "difference"]

AHEAD_MAX = 2_000
"""How many events behind the first difference are looked at to tell what it is."""
BEFORE_MAX = 50


class Kind(StrEnum):
    """What is wrong."""

    DIFFERS = "differs"
    MISSING = "missing"
    ADDED = "added"
    OUT_OF_PLACE = "out_of_place"
    CHECKPOINT = "checkpoint"
    SEAL = "seal"
    TILE = "tile"
    NOT_SEALED = "not_sealed"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and where."""

    kind: Kind
    text: str
    """A sentence for a person."""
    event_id: int | None = None
    """The event in the log; of a missing one, the event before."""
    leaf: int | None = None
    """Its number among all sealed events, from 0."""

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


def difference(
    index: int, last_id: int, rows: Sequence[Row], wanted: Sequence[bytes], source: str
) -> Finding:
    """``rows`` of the log and the ``wanted`` hashes begin where the first two are not the same; each has
    those that come behind, as far as is looked at. ``last_id``: of the event before, 0 for none.
    """
    hashes = [leaf_hash(leaf(row)) for row in rows]
    behind = f"behind event {last_id}" if last_id else "at the beginning"
    if not rows or (hashes[0] in wanted and wanted[0] not in hashes):
        next_ = f" and before event {rows[0][0]}" if rows else ""
        return Finding(
            kind=Kind.MISSING,
            text=f"An event is missing {behind}{next_}: it was sealed as number {index} ({source}).",
            event_id=last_id,
            leaf=index,
        )
    row = rows[0]
    if not wanted or wanted[0] in hashes:
        return Finding(
            kind=Kind.ADDED,
            text=f"{_named(row)} was added after the events around it were sealed ({source}).",
            event_id=row[0],
            leaf=index,
        )
    moved = _id_of_before(row, wanted)
    if moved is not None:
        return Finding(
            kind=Kind.OUT_OF_PLACE,
            text=f"{_named(row)} is out of place: it was sealed as event {moved} ({source}).",
            event_id=row[0],
            leaf=index,
        )
    return Finding(
        kind=Kind.DIFFERS,
        text=f"{_named(row)} is not what was sealed as number {index} ({source}).",
        event_id=row[0],
        leaf=index,
    )


def _named(row: Row) -> str:
    return f"Event {row[0]} ({row[3]}, version {row[2]} of {row[1]})"


def _id_of_before(row: Row, wanted: Collection[bytes]) -> int | None:
    """Under which id near by the same event was sealed."""
    known = set(wanted)
    last = row[0] + 2 * len(wanted) + BEFORE_MAX  # ids have gaps
    for id_ in range(max(row[0] - BEFORE_MAX, 1), last):
        if id_ != row[0] and leaf_hash(leaf((id_, *row[1:]))) in known:
            return id_
    return None
