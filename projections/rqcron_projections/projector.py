"""Keeps the projections current: reads the log, folds, saves rows and position together."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby
from typing import Literal

from django.db import transaction

from rqcron_events import clock
from rqcron_events.core.wording import clause
from rqcron_events.ledger import store

from .folds import crons, days, runners, runs
from .models import Checkpoint
from .projection import Projection
from .tables import live_tables

__all__ = ["PROJECTIONS", "catch_up", "checkpoints", "position", "projections_named"]

log = logging.getLogger(__name__)

PROJECTIONS: tuple[Projection, ...] = (
    crons.PROJECTION,
    runs.PROJECTION,
    days.PROJECTION,
    runners.PROJECTION,
)

PAGE_EVENTS_MAX = 2_000
"""Events of one transaction."""
CATCH_UP_EVENTS_MAX = 10_000_000
"""Bound of one call without a limit, should writers stay ahead of it for ever."""
OVERTAKEN_MAX = 20
"""How often one call yields to another process that advances the same projections."""

_broken: set[str] = set()
"""Projections whose failure this process has logged already."""

Advance = Literal["moved", "overtaken", "failed"]


def catch_up(limit_events: int | None = None) -> int:
    """Apply what is new in the log, at most ``limit_events``; return how many events were applied.

    Anybody may call it at any time and from several processes: a page counts only for the one who
    moves the checkpoint. A projection that raises stays where it is and is tried again by the next
    call; it stops nothing else. A checkpoint of an older VERSION moves on too, because old rows
    that are current are better than old rows: only ``rebuild`` replaces them.

    Lets database errors of reading the log through.
    """
    left = CATCH_UP_EVENTS_MAX if limit_events is None else limit_events
    waiting = {projection.name: projection for projection in PROJECTIONS}
    applied = overtaken = 0
    while waiting and left > 0 and overtaken < OVERTAKEN_MAX:
        for position, group in _by_position(waiting.values()):
            if left <= 0:
                break
            page = store.tail(position, min(PAGE_EVENTS_MAX, left))
            results = [_advance(waiting[point.name], point, page) for point in group]
            if "moved" in results:
                applied += len(page.events)
                left -= len(page.events)
            overtaken += "overtaken" in results
            at_end = page.position == position or not page.events
            for point, result in zip(group, results, strict=True):
                if result == "failed" or (result == "moved" and at_end):
                    del waiting[point.name]
    return applied


def position() -> int:
    """The id of the last event that is in every projection's rows."""
    return min(point.position for point in checkpoints(PROJECTIONS))


def projections_named(names: Iterable[str] | None) -> list[Projection]:
    """The projections of these names, or all. Raises LookupError for an unknown name."""
    known = {projection.name: projection for projection in PROJECTIONS}
    if names is None:
        return list(known.values())
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise LookupError(f"No projection is named {name!r}. Use {' or '.join(known)}.")
    return [known[name] for name in wanted]


def checkpoints(projections: Iterable[Projection]) -> list[Checkpoint]:
    """The checkpoint of each projection, created where it is missing."""
    found = Checkpoint.objects.using(store.connection().alias)
    wanted = {projection.name: projection for projection in projections}
    points = list(found.filter(name__in=wanted))
    missing = wanted.keys() - {point.name for point in points}
    if missing:
        new = [
            Checkpoint(name=name, version=wanted[name].version, position=0, updated_at=clock.now())
            for name in sorted(missing)
        ]
        found.bulk_create(new, ignore_conflicts=True)
        points = list(found.filter(name__in=wanted))
    return points


def _by_position(projections: Iterable[Projection]) -> list[tuple[int, list[Checkpoint]]]:
    """Checkpoints at one place share a page. Each place gets its turn, so nobody waits for one
    projection that is far behind."""
    ordered = sorted(checkpoints(projections), key=lambda point: point.position)
    return [
        (position, list(group))
        for position, group in groupby(ordered, key=lambda point: point.position)
    ]


def _advance(projection: Projection, point: Checkpoint, page: store.Tail) -> Advance:
    if page.position == point.position:
        return "moved"  # nothing new
    try:
        moved = _apply(projection, point, page)
    except Exception as error:
        # Whatever a projection does must not reach the runner or the other projections.
        _log_failure(projection, point, error)
        return "failed"
    _broken.discard(projection.name)
    return "moved" if moved else "overtaken"


def _apply(projection: Projection, point: Checkpoint, page: store.Tail) -> bool:
    """Save rows and position; False when another process was first, and nothing was saved."""
    tables = live_tables(projection)
    rows = tables.fold(page.events)
    db = store.connection()
    with transaction.atomic(using=db.alias):
        # First, because it takes the row's lock (SQLite: the write lock) before anything is
        # written. A rebuild may leave the position and change the rows: updated_at tells.
        unmoved = Checkpoint.objects.using(db.alias).filter(
            name=point.name, position=point.position, updated_at=point.updated_at
        )
        if not unmoved.update(position=page.position, updated_at=clock.now()):
            return False
        tables.save(rows)
    return True


def _log_failure(projection: Projection, point: Checkpoint, error: Exception) -> None:
    if projection.name in _broken:
        return
    _broken.add(projection.name)
    log.error(
        "Projection %s stays at event %d: %s: %s. It is tried again; nothing else waits for it.",
        projection.name,
        point.position,
        type(error).__name__,
        clause(error),
        exc_info=error,
        extra={
            "action": "projection_failed",
            "projection": projection.name,
            "position": point.position,
        },
    )
