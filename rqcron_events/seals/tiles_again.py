"""Making the tiles anew out of the log and its archived segments, where a disk or a person damaged them."""

from __future__ import annotations

from django.db import transaction

from ..conf import conf
from ..core.seal.leaf import leaf
from ..core.seal.merkle import leaf_hash, root_of
from ..core.seal.tiles import HASH_BYTES, grown
from ..errors import SealBroken
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronTile
from . import progress
from .segments import hashes_of, segments
from .stored import StoredTiles, newest_seal, save_tiles

__all__ = ["make_tiles_again"]

PAGE_EVENTS = 256 * 40


def make_tiles_again() -> int:
    """In one transaction; how many events they are of. Raises SealBroken, and changes nothing, where
    the log is not what the newest seal says: then not the tiles are to be mended; and SegmentUnavailable."""
    db, seal = store.connection(), newest_seal()
    if seal is None:
        return 0
    with transaction.atomic(using=db.alias):
        CronTile.objects.using(conf().database).all().delete()
        size, last_id = 0, 0
        for segment in segments():
            hashes = hashes_of(segment)
            leaves = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
            save_tiles(grown(StoredTiles(), size, leaves))
            size, last_id = segment.size, segment.last_id
        while size < seal.size:
            rows = backend_of(db).read(db, last_id, seal.last_id, PAGE_EVENTS)
            if not rows:
                break
            save_tiles(grown(StoredTiles(), size, [leaf_hash(leaf(row)) for row in rows]))
            size, last_id = size + len(rows), rows[-1][0]
        if size != seal.size or root_of(size, StoredTiles().subtree) != bytes(seal.root):
            raise SealBroken(
                f"The log is not what the seal of {seal.size} events says, so the tiles are left as they "
                "are. See cron_verify --all."
            )
        progress.rows().filter(name=progress.ARCHIVING).update(
            size=0
        )  # the next pass removes those of archived events
    return size
