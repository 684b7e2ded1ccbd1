"""Sealing the next part of the log: what no event can appear before any more."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError, transaction

from ..core.seal.checkpoint import Checkpoint
from ..core.seal.leaf import leaf
from ..core.seal.merkle import leaf_hash, root_of
from ..core.seal.note import Signer
from ..core.seal.tiles import TileMissing, grown, subtree_of
from ..errors import PositionAhead, SealBroken
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronSeal
from ..process.failpoints import reach
from .stored import StoredTiles, newest_seal, save_tiles

__all__ = ["PAGE_EVENTS", "Sealed", "seal_all", "seal_next"]

PAGE_EVENTS = 5_000
"""Of one seal; more than that are several seals, one after the other."""
STEPS_MAX = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What one step sealed."""

    events: int
    size: int
    """How many events of the log are sealed now."""


def seal_all(signer: Signer) -> int:
    """Seal everything that can be sealed now; how many events that were. Raises as ``seal_next``."""
    events = 0
    for _ in range(STEPS_MAX):
        step = seal_next(signer)
        if step is None:
            break
        events += step.events
    return events


def seal_next(signer: Signer, limit: int = PAGE_EVENTS) -> Sealed | None:
    """Seal at most ``limit`` events behind the newest seal. None when there is nothing to seal, a writer
    holds its transaction for long, or another process has just sealed.

    Raises SealBroken when the newest sealed event is not the one in the log any more, or the
    stored tiles do not belong to the newest seal; Django's database errors.
    """
    before, tiles = newest_seal(), StoredTiles()
    size, last_id = (before.size, before.last_id) if before else (0, 0)
    if before is not None:
        _require_the_same(before, tiles)
    safe = store.fence()
    if safe is None or safe <= last_id:
        return None
    db = store.connection()
    rows = backend_of(db).read(db, last_id, safe, limit)
    if not rows:
        return None
    tree = grown(tiles, size, [leaf_hash(leaf(row)) for row in rows])
    size += len(rows)
    root = root_of(size, subtree_of(lambda *place: tree.get(place) or tiles(*place)))
    seal = CronSeal(
        size=size,
        previous=before.size if before else 0,
        last_id=rows[-1][0],
        root=root,
        note=signer.signed(Checkpoint(signer.name, size, root).text),
    )
    reach("before_seal")
    try:
        with transaction.atomic(using=db.alias):
            # First: another process that seals waits here, and then has nothing to add.
            seal.save(using=db.alias, force_insert=True)
            save_tiles(tree)
            reach("seal_written")
    except IntegrityError:
        return None
    reach("after_seal")
    return Sealed(events=len(rows), size=size)


def _require_the_same(before: CronSeal, tiles: StoredTiles) -> None:
    """What comes after it would hide what was changed before, or be signed on a damaged tree."""
    db = store.connection()
    rows = backend_of(db).read_ids(db, [before.last_id])
    if not rows or leaf_hash(leaf(rows[0])) != tiles.leaf(before.size - 1):
        try:
            store.require_not_ahead(before.last_id)
        except PositionAhead as error:
            raise SealBroken(f"The newest seal covers {before.size} events. {error}") from error
        raise SealBroken(
            f"Event {before.last_id}, the last one that is sealed, is not what it was when it was "
            "sealed. Nothing more is sealed. See cron_verify --all."
        )
    try:
        root = root_of(before.size, tiles.subtree)
    except TileMissing:
        root = b""
    if root != bytes(before.root):
        raise SealBroken(
            f"The stored tiles do not belong to the seal of {before.size} events. Nothing more is "
            "sealed. See cron_verify --all."
        )
