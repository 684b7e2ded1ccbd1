"""Keeps the projections current: reads the log, folds, saves rows and position together."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Literal

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    transaction,
)

from rqcron_events import clock
from rqcron_events.archive.reading import page_after
from rqcron_events.core.codec import Unreadable
from rqcron_events.core.events import Event
from rqcron_events.core.wording import clause
from rqcron_events.errors import LogWentBack, SegmentUnavailable
from rqcron_events.ledger import quarantine, store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.reading import not_accepted
from rqcron_events.ledger.snapshot import MARKS_MAX, LogMark, missing_marks
from rqcron_events.process.gc_pause import collection_paused

from .fold_failed import FoldFailed, reader_of
from .folds import crons, days, runners, runs
from .models import Checkpoint
from .past.kept import keep_if_due
from .projection import Projection
from .tables import live_tables

__all__ = [
    "PROJECTIONS",
    "broken",
    "catch_up",
    "catch_up_some",
    "checkpoints",
    "history_is_lost",
    "of_another_history",
    "position",
    "problems",
    "projections_named",
]

log = logging.getLogger(__name__)

PROJECTIONS: tuple[Projection, ...] = (
    crons.PROJECTION,
    runs.PROJECTION,
    days.PROJECTION,
    runners.PROJECTION,
)

PAGE_EVENTS = 2_000
"""Events of one transaction, to begin with. Far behind, pages grow: a row is written once per page."""
PAGE_EVENTS_MIN, PAGE_EVENTS_MAX = 250, 16_000
PAGE_SECONDS_MAX = 2.0
"""What a page may take before the next one is smaller: whoever called looks up in between."""
ALONE_SECONDS_MAX = 0.5
"""The same on SQLite, where all other writers wait for a part of it."""
CATCH_UP_EVENTS_MAX = 10_000_000
"""Bound of one call without a limit, should writers stay ahead of it for ever."""
CULPRITS_MAX = 20
"""Events of one page that are left out because they cannot be folded."""
OVERTAKEN_MAX = 20
"""How often one call yields to another process that advances the same projections."""

LOOK_SECONDS = 5.0
"""How often an idle log is looked at more closely."""

_at_end: list[Any] = []
"""The newest event, when this process had applied all and looked last, and when that was."""
_broken: set[str] = set()
"""Projections whose failure this process has logged already."""
_of_another_history: set[str] = set()
"""Projections that this process found so when it tried last."""

Advance = Literal["moved", "overtaken", "failed"]


class _Overtaken(Exception):
    """Another process was first."""


class _Pace:
    """How many events the next page has, from how long the last ones took."""

    def __init__(self) -> None:
        self.events = PAGE_EVENTS

    def took(self, events: int, seconds: float) -> None:
        db = store.connection()
        most = PAGE_SECONDS_MAX if backend_of(db).MANY_WRITERS else ALONE_SECONDS_MAX
        if seconds > most:
            self.events = max(self.events // 2, PAGE_EVENTS_MIN)
        elif events >= self.events and seconds < most / 2:
            self.events = min(self.events * 2, PAGE_EVENTS_MAX)


_pace = _Pace()
"""Of this process."""


def catch_up(limit_events: int | None = None) -> int:
    """Apply what is new in the log, at most ``limit_events``; return how many events were applied.

    Anybody may call it at any time and from several processes: a page counts only for the one who
    moves the checkpoint. A projection that raises stays where it is and is tried again by the next
    call; it stops nothing else. A checkpoint of an older VERSION moves on too, because old rows
    that are current are better than old rows: only ``rebuild`` replaces them. One whose rows are made of
    events that the log does not have any more stays, too.

    Lets database errors of reading the log through.
    """
    left = CATCH_UP_EVENTS_MAX if limit_events is None else limit_events
    waiting = {projection.name: projection for projection in PROJECTIONS}
    applied = overtaken = 0
    _of_another_history.clear()
    for point in _of_lost_history():
        _log_went_back(waiting.pop(point.name), point, LogWentBack(point.position))
    while waiting and left > 0 and overtaken < OVERTAKEN_MAX:
        for position, group in _by_position(waiting.values()):
            if left <= 0:
                break
            began_at = clock.monotonic_seconds()
            try:
                with collection_paused():
                    page = page_after(position, min(_pace.events, left), texts=False)
                    pairs = [(waiting[point.name], point) for point in group]
                    results = _advance_together(pairs, page)
            except LogWentBack as error:
                for point in group:
                    _log_went_back(waiting.pop(point.name), point, error)
                continue
            except SegmentUnavailable as error:
                for point in group:
                    _log_failure(waiting.pop(point.name), point, error)
                continue
            _pace.took(len(page.events), clock.monotonic_seconds() - began_at)
            if "moved" in results:
                applied += len(page.events)
                left -= len(page.events)
            overtaken += "overtaken" in results
            at_end = page.position == position or not (page.events or page.unreadable)
            for point, result in zip(group, results, strict=True):
                if result == "failed" or (result == "moved" and at_end):
                    del waiting[point.name]
    return applied


def catch_up_some(limit_events: int | None = None) -> int:
    """The same for a page of the log, or so many events, for who calls again and again.

    An idle log is asked for its newest event only, and for more every few seconds.
    """
    newest = store.newest()
    now = clock.monotonic_seconds()
    if _at_end and _at_end[0] == newest and 0 <= now - _at_end[1] < LOOK_SECONDS:
        return 0
    _at_end.clear()
    applied = catch_up(_pace.events if limit_events is None else limit_events)
    if not (applied or _broken or _of_another_history) and newest.id <= position():
        _at_end.extend((newest, now))
    return applied


def broken() -> list[str]:
    """Projections that did not get on when this process tried last."""
    return sorted(_broken)


def of_another_history() -> list[str]:
    """Projections that had read what the log does not have any more when this process tried last:
    nothing is right that is added to their rows, so they have to be built again."""
    return sorted(_of_another_history)


def problems() -> list[str]:
    """The same as of now, for health: one sentence for each."""
    points = _of_lost_history()
    return [f"Projection {point.name}: {LogWentBack(point.position)}" for point in points]


def _of_lost_history() -> list[Checkpoint]:
    """Most have read the same events last, which are asked for once."""
    lost: dict[str, bool] = {}
    found = []
    for point in checkpoints(PROJECTIONS):
        marks = repr(point.marks)
        if marks not in lost:
            lost[marks] = history_is_lost(point)
        if lost[marks]:
            found.append(point)
    return found


def history_is_lost(point: Checkpoint) -> bool:
    """Whether the log does not have what the rows were made of: it went back, and the ids may have been
    handed out again."""
    return bool(missing_marks(map(LogMark.from_data, point.marks)))


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


def _advance_together(
    pairs: Sequence[tuple[Projection, Checkpoint]], page: store.Tail
) -> list[Advance]:
    """In one transaction; where one of them fails, each in its own."""
    if page.position == pairs[0][1].position:
        return ["moved"] * len(pairs)  # nothing new
    if len(pairs) > 1:
        try:
            moved = _save(pairs, page)
        except Exception:
            log.debug(
                "A page is folded for each projection apart.",
                exc_info=True,
                extra={"action": "page_folded_apart"},
            )
        else:
            if moved:
                _broken.difference_update(projection.name for projection, _ in pairs)
            return ["moved" if moved else "overtaken"] * len(pairs)
    return [_advance(projection, point, page) for projection, point in pairs]


def _advance(projection: Projection, point: Checkpoint, page: store.Tail) -> Advance:
    try:
        moved = _apply(projection, point, page)
    except Exception as error:
        # Whatever a projection does must not reach the runner or the other projections.
        _log_failure(projection, point, error)
        return "failed"
    _broken.discard(projection.name)
    return "moved" if moved else "overtaken"


def _apply(projection: Projection, point: Checkpoint, page: store.Tail) -> bool:
    """Save rows and position; False when another process was first, and nothing was saved.

    An event that cannot be folded is left out, and noted in the quarantine. Beyond a number of them
    the page ends before the next one; and where nothing but failures came, it is the projection
    that is broken: then it raises, and nothing is saved.
    """
    left_out: list[Unreadable] = []
    while True:
        try:
            return _save([(projection, point)], page)
        except Exception as error:
            index, failed = _culprit(projection, page.events, error)
        before, after = page.events[:index], page.events[index + 1 :]
        left_out.append(failed)
        if len(left_out) >= CULPRITS_MAX:
            if not any(map(projection.key, before)):
                raise FoldFailed(projection.name, page.events[index], ValueError(failed.error))
            after, page = [], page._replace(position=failed.id)
            page = page._replace(
                unreadable=[item for item in page.unreadable if item.id <= failed.id]
            )
        new = not_accepted(store.connection(), [failed])
        page = page._replace(events=before + after, unreadable=[*page.unreadable, *new])


def _culprit(
    projection: Projection, events: list[Event], error: Exception
) -> tuple[int, Unreadable]:
    """Which of the events fails, and how. Raises the error when it is about none of them."""
    if isinstance(error, FoldFailed):
        ids = [event.id for event in events]
        return ids.index(error.event_id), error.unreadable
    if isinstance(error, DatabaseError) and not isinstance(error, (DataError, IntegrityError)):
        raise error
    fits, fails = 0, len(events)  # the first so many can be saved, and so many cannot
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if _fits(projection, events[:middle]):
            fits = middle
        else:
            fails = middle
    if not events or not _fits(projection, []):
        raise error
    return fails - 1, Unreadable.event(events[fails - 1], error)


def _fits(projection: Projection, events: list[Event]) -> bool:
    """Whether these events can be folded and saved; saves nothing."""
    tables = live_tables(projection)
    try:
        with transaction.atomic(using=store.connection().alias):
            tables.save(tables.fold(events))
            transaction.set_rollback(True, using=store.connection().alias)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        return False
    return True


def _save(pairs: Sequence[tuple[Projection, Checkpoint]], page: store.Tail) -> bool:
    """Rows and positions of these projections, or of none of them when another process was first."""
    folded = []
    for projection, point in sorted(pairs, key=lambda pair: pair[0].name):  # as rebuilds lock them
        tables = live_tables(projection, point.kept_from)
        folded.append((point, tables, tables.fold(page.events)))
    db = store.connection()
    seen = [LogMark.of(event).to_data() for event in page.events[-MARKS_MAX:]]
    try:
        with transaction.atomic(using=db.alias):
            # First, because it takes the rows' locks (SQLite: the write lock) before anything is
            # written. A rebuild may leave the position and change the rows: updated_at tells.
            for point, _, _ in folded:
                _move(point, page.position, [*point.marks, *seen][-MARKS_MAX:])
            for point, tables, rows in folded:
                tables.save(rows)
                keep_if_due(tables.projection, tables.stored_in, point.position, page.position)
                quarantine.set_aside(reader_of(tables.projection.name), page.unreadable)
    except _Overtaken:
        return False
    return True


def _move(point: Checkpoint, position: int, marks: list[Any]) -> None:
    unmoved = Checkpoint.objects.using(store.connection().alias).filter(
        name=point.name, position=point.position, updated_at=point.updated_at
    )
    if not unmoved.update(position=position, marks=marks, updated_at=clock.now()):
        raise _Overtaken


def _log_went_back(projection: Projection, point: Checkpoint, error: LogWentBack) -> None:
    _of_another_history.add(projection.name)
    _log_failure(projection, point, error)


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
