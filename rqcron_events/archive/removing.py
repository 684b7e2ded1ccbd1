"""Taking out of the database what is archived: rows in small batches that disturb no writer, and tiles."""

from __future__ import annotations

import time

from django.db import DatabaseError

from ..clock import monotonic_seconds
from ..conf import conf
from ..core.seal.tiles import WIDTH, tile_path
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronEvent, CronTile
from ..process.failpoints import reach
from ..seals.progress import ARCHIVING, of_receiver, progress, rows, succeeded
from .keeping import kept_ids

__all__ = ["remove_rows", "remove_tiles"]

BATCH_ROWS = 2_000
LOCK_SECONDS_MAX = 1.0
STATEMENT_SECONDS_MAX = 30.0
TRIES_MAX = 20
PAUSE_SECONDS_MIN = 0.005
BATCH_TILES = 500


def remove_rows(until: int) -> tuple[int, int]:
    """Delete all rows up to this event, which is archived, but those that have to stay; how many went, and
    how many stay. Interrupted, the next call goes on.

    A batch is a transaction of its own, and as long a pause comes after it: writers and vacuum get their
    turn. Raises Django's database errors.
    """
    kept = kept_ids(until)
    events = CronEvent.objects.using(conf().database).order_by("id")
    ids = events.filter(id__lte=until).values_list("id", flat=True)
    removed, stay, after = 0, 0, 0
    while page := list(ids.filter(id__gt=after)[:BATCH_ROWS]):
        staying = [id_ for id_ in page if id_ in kept]
        stay += len(staying)
        if len(staying) < len(page):
            began_at = monotonic_seconds()
            removed += _delete(after, page[-1], staying)
            reach("rows_removed")
            time.sleep(max(monotonic_seconds() - began_at, PAUSE_SECONDS_MIN))
        after = page[-1]
    return removed, stay


def _delete(after: int, until: int, staying: list[int]) -> int:
    db = store.connection()
    # The base manager: that of events refuses.
    doomed = CronEvent._base_manager.using(db.alias).filter(id__gt=after, id__lte=until)
    if staying:
        doomed = doomed.exclude(id__in=staying)
    for left in range(TRIES_MAX, 0, -1):
        try:
            with backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, STATEMENT_SECONDS_MAX):
                return int(doomed._raw_delete(db.alias))
        except DatabaseError as error:
            if left == 1 or not backend_of(db).was_locked(error):
                raise
    return 0


def remove_tiles(size: int) -> int:
    """Delete the tiles of level 0 that are wholly of the first ``size`` events, all of which are archived:
    segments give them again. Those that a receiver of checkpoints has not been told of stay. How many went.
    """
    for name in conf().seal_receivers:
        row = progress(of_receiver(name))
        size = min(size, row.size if row else 0)
    before, removed = progress(ARCHIVING), 0
    number, end = (before.size // WIDTH if before else 0), size // WIDTH
    tiles = CronTile.objects.using(conf().database)
    while number < end:
        upto = min(number + BATCH_TILES, end)
        paths = [tile_path(0, each) for each in range(number, upto)]
        removed += tiles.filter(path__in=paths).delete()[0]
        number = upto
        if not rows().filter(name=ARCHIVING).update(size=number * WIDTH):
            succeeded(ARCHIVING, number * WIDTH)
        reach("tiles_removed")
    return removed
