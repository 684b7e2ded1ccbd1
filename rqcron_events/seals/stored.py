"""Seals and tiles in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db.models import QuerySet

from ..conf import conf
from ..core.seal.merkle import Subtree
from ..core.seal.tiles import HASH_BYTES, subtree_of, tile_path
from ..models import CronSeal, CronTile

__all__ = ["StoredTiles", "newest_seal", "save_tiles", "seals", "seals_after"]

TILES_KEPT_MAX = 1_000
PAGE_SEALS = 2_000


def seals() -> QuerySet[CronSeal]:
    """In the order of their sizes."""
    return CronSeal.objects.using(conf().database).order_by("size")


def newest_seal() -> CronSeal | None:
    return seals().last()


def seals_after(size: int, until: int) -> Iterator[CronSeal]:
    """Of more than ``size`` events and at most ``until``. Page by page: behind a pooler no cursor lasts."""
    while page := list(seals().filter(size__gt=size, size__lte=until)[:PAGE_SEALS]):
        yield from page
        size = page[-1].size


class StoredTiles:
    """Calls give the hashes of a tile, none where it is not stored; ``ahead`` tiles are read at once."""

    def __init__(self, ahead: int = 1) -> None:
        self._ahead = ahead
        self._known: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, number: int) -> bytes:
        if (level, number) not in self._known:
            if len(self._known) > TILES_KEPT_MAX:
                self._known.clear()
            wanted = {
                tile_path(level, each): (level, each)
                for each in range(number, number + self._ahead)
            }
            self._known |= dict.fromkeys(wanted.values(), b"")
            rows = CronTile.objects.using(conf().database).filter(path__in=list(wanted))
            for path, hashes in rows.values_list("path", "hashes"):
                self._known[wanted[path]] = bytes(hashes)
        return self._known[level, number]

    def leaf(self, index: int) -> bytes:
        """The hash of one leaf; empty where it is not stored."""
        number, place = divmod(index, 256)
        return self(0, number)[place * HASH_BYTES : (place + 1) * HASH_BYTES]

    @property
    def subtree(self) -> Subtree:
        return subtree_of(self)


def save_tiles(tiles: Mapping[tuple[int, int], bytes]) -> None:
    """Add or overwrite these."""
    CronTile.objects.using(conf().database).bulk_create(
        [CronTile(path=tile_path(*place), hashes=hashes) for place, hashes in tiles.items()],
        batch_size=400,
        update_conflicts=True,
        unique_fields=["path"],
        update_fields=["hashes"],
    )
