"""Build the projections again from the log; compare them with it.

A replay only folds events: it never enqueues, calls or appends anything but its own record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Event as Signal
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model

from rqcron_events import clock
from rqcron_events.core.events import make
from rqcron_events.errors import LedgerUnavailable, PositionAhead, PositionArchived
from rqcron_events.ledger import store
from rqcron_events.ledger.quarantine import set_aside
from rqcron_events.ledger.reading import not_accepted
from rqcron_events.ledger.snapshot import marks_up_to

from ..fold_failed import FoldFailed, reader_of
from ..models import Checkpoint
from ..past.kept import positions
from ..projection import Projection
from ..projector import checkpoints, history_is_lost, projections_named
from ..retention.rule import wanted_from
from ..tables import live_tables, row_values
from .session import open_session
from .shadow import LeftOut, Shadow, built_by_database, open_shadows, replay_together

__all__ = ["Difference", "Rebuilt", "check", "rebuild"]

T = TypeVar("T")

TRIES_MAX = 50
"""How often a rebuild or a check follows a projection that moves on meanwhile."""
LEFT_OUT_MAX = 20
"""How many events that nobody set aside yet one replay goes on without, each time from the start."""
DIFFERENCES_MAX = 1_000
"""How many rows of one table a check reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild did."""

    projection: str
    version: int
    """Of the code that built it."""
    events: int
    """How many were replayed."""
    rows: int
    """In all its tables, afterwards."""
    seconds: float
    """Until its rows were in place. Projections are replayed together, so most of it is shared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that is not what the log says."""

    projection: str
    table: str
    key: str
    """Its primary key."""
    problem: str
    """missing, unexpected or different"""
    columns: dict[str, list[Any]]
    """``[live, replayed]`` of each column that differs, when both rows exist."""


def rebuild(names: Iterable[str] | None = None, *, actor: str = "") -> list[Rebuilt]:
    """Replay the log into shadows and put them in the place of the live rows.

    ``names`` are projections, None means all; ``actor`` is who asked, for the log. Live readers
    see the old rows until the new ones are complete. Raises LookupError for an unknown name and
    whatever ``apply`` raises; the live rows of that projection then stay as they are.
    """
    projections = projections_named(names)
    done: dict[str, Rebuilt] = {}
    _around(partial(_rebuild, projections, done, actor))
    return [done[projection.name] for projection in projections]


def _around(work: Callable[[LeftOut], T]) -> T:
    """Do it again without an event that cannot be folded: half of it may be in the rows."""
    left_out: set[tuple[str, int]] = set()
    for _ in range(LEFT_OUT_MAX):
        try:
            return work(left_out)
        except PositionArchived:
            continue  # events went into the archive while they were read: all of it again
        except FoldFailed as failed:
            left_out.add((failed.projection, failed.event_id))
            new = not_accepted(store.connection(), [failed.unreadable])
            set_aside(reader_of(failed.projection), new)
    return work(left_out)


def _rebuild(
    all_of_them: list[Projection], done: dict[str, Rebuilt], actor: str, left_out: LeftOut
) -> None:
    """Put into ``done`` what is not there yet."""
    projections = [projection for projection in all_of_them if projection.name not in done]
    until = store.fence() or 0
    finish = partial(_finish, started=clock.monotonic_seconds())
    beside: list[Future[Rebuilt]] = []
    failures: list[Exception] = []

    def keep(result: Rebuilt) -> None:
        done[result.projection] = result
        _record(result, actor)

    with ExitStack() as stack:
        for projection in filter(built_by_database, projections):
            session = stack.enter_context(open_session(beside=len(projections) > 1))
            build = partial(_build, projection, left_out, until, finish, session.stopped)
            beside.append(session.start(build))
        # In one order, because each holds its checkpoint until all are done.
        together = sorted(
            (item for item in projections if not built_by_database(item)),
            key=lambda item: item.name,
        )
        try:
            for result in _build_together(together, left_out, until, finish) if together else ():
                keep(result)
        except Exception as error:  # runs that are built beside are none the worse for it
            failures.append(error)
        for work in beside:
            try:
                keep(work.result())
            except Exception as error:
                failures.append(error)
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"Another projection failed too: {type(other).__name__}: {other}")
        raise failures[0]


def _build_together(
    projections: list[Projection],
    left_out: LeftOut,
    until: int,
    finish: Callable[[Shadow], Rebuilt],
) -> list[Rebuilt]:
    with open_shadows(projections, left_out) as shadows:
        replay_together(shadows, until)
        return [finish(shadow) for shadow in shadows]


def _build(
    projection: Projection,
    left_out: LeftOut,
    until: int,
    finish: Callable[[Shadow], Rebuilt],
    stopped: Signal,
) -> Rebuilt:
    with open_shadows([projection], left_out, stopped) as (shadow,):
        shadow.replay(until)
        return finish(shadow)


def _finish(shadow: Shadow, *, started: float) -> Rebuilt:
    shadow.replay()
    shadow.analyze()
    return Rebuilt(
        projection=shadow.projection.name,
        version=shadow.projection.version,
        rows=_swap(shadow),
        events=shadow.events,
        seconds=round(clock.monotonic_seconds() - started, 3),
    )


def check(names: Iterable[str] | None = None) -> list[Difference]:
    """The rows that differ from what a replay gives; writes only temporary tables.

    It compares as of each projection's checkpoint, so a projection that lags is not wrong.
    """
    return _around(partial(_check, projections_named(names)))


def _check(projections: list[Projection], left_out: LeftOut) -> list[Difference]:
    found: list[Difference] = []
    for projection in projections:
        with open_shadows([projection], left_out) as (shadow,):
            shadow.kept_at = []
            found += _differences(shadow)
    return found


def _swap(shadow: Shadow) -> int:
    """One short transaction that holds the checkpoint; returns how many rows there are."""
    alias = store.connection().alias
    checkpoints([shadow.projection])
    mine = Checkpoint.objects.using(alias).filter(name=shadow.projection.name)
    for _ in range(TRIES_MAX):
        shadow.replay()
        with transaction.atomic(using=alias):
            # An UPDATE, not SELECT FOR UPDATE: on SQLite only a write takes the lock, and a read
            # that comes first would make the later write fail.
            mine.update(updated_at=clock.now())
            shadow.replay()
            point = mine.get()
            if shadow.position < point.position and not _is_ahead(point):
                continue  # an open transaction hid the end from this reader, not from another
            kept_from = wanted_from(clock.now()) if shadow.projection.retention else None
            rows = shadow.replace_live(kept_from)
            shadow.go_on()  # or else take it all back
            mine.update(
                version=shadow.projection.version,
                position=shadow.position,
                kept_from=kept_from,
                marks=[mark.to_data() for mark in reversed(marks_up_to(shadow.position))],
            )
            return rows
    raise LedgerUnavailable(
        f"Projection {shadow.projection.name!r} was not replaced: for {TRIES_MAX} tries, open "
        "transactions kept the end of the log from being read. Try again when they are closed."
    )


def _is_ahead(point: Checkpoint) -> bool:
    """Of the log, which went back: then its place says nothing."""
    try:
        store.require_not_ahead(point.position)
    except PositionAhead:
        return True
    return history_is_lost(point)


def _record(result: Rebuilt, actor: str) -> None:
    event = make.projection_rebuilt(
        projection=result.projection,
        projection_version=result.version,
        events=result.events,
        rows=result.rows,
        actor=actor,
        at=clock.now(),
    )
    store.append_next([event])


def _differences(shadow: Shadow) -> list[Difference]:
    alias = store.connection().alias
    checkpoints([shadow.projection])
    mine = Checkpoint.objects.using(alias).filter(name=shadow.projection.name)
    live = live_tables(shadow.projection).stored_in
    for _ in range(TRIES_MAX):
        kept = positions(shadow.projection, live)  # first: they are not beyond the checkpoint
        until = mine.get().position
        for position in kept:
            shadow.keep_at(position)
        shadow.replay(until=until)
        with transaction.atomic(using=alias):
            # Nobody moves the rows while they are compared: PostgreSQL locks the checkpoint, and
            # on SQLite the transaction sees one state from here on.
            point = mine.select_for_update().get()
            if point.position != shadow.position:
                continue
            if positions(shadow.projection, live) != shadow.kept_at:
                break  # a rebuild has put others in their place
            found = [
                _difference(shadow.projection, model._meta.db_table, *pair)
                for model, keys in shadow.differing_keys(DIFFERENCES_MAX, point.kept_from).items()
                for pair in _pairs(shadow, model, keys)
            ]
            # Segments have the keys of JSON in another order, which SQLite compares.
            return [item for item in found if item.columns or item.problem != "different"]
    raise LedgerUnavailable(
        f"Projection {shadow.projection.name!r} was not checked: it was built again meanwhile, or "
        f"moved on during each of {TRIES_MAX} tries. Try again when less is appended."
    )


def _pairs(
    shadow: Shadow, model: type[Model], keys: list[Any]
) -> Iterator[tuple[Any, dict[str, Any] | None, dict[str, Any] | None]]:
    """Each key with its live row and its replayed row, None where there is none."""
    to_key = model._meta.concrete_fields[0].to_python
    keys = [to_key(key) for key in keys]
    live, replayed = _by_key(model, keys), _by_key(shadow.tables.stored_in[model], keys)
    for key in keys:
        yield key, live.get(key), replayed.get(key)


def _by_key(model: type[Model], keys: list[Any]) -> dict[Any, dict[str, Any]]:
    found = model._default_manager.using(store.connection().alias).in_bulk(keys)
    return {key: row_values(row) for key, row in found.items()}


def _difference(
    projection: Projection,
    table: str,
    key: Any,
    live: dict[str, Any] | None,
    replayed: dict[str, Any] | None,
) -> Difference:
    columns: dict[str, list[Any]] = {}
    if live is None or replayed is None:
        problem = "missing" if live is None else "unexpected"
    else:
        problem = "different"
        columns = {
            name: [value, replayed[name]] for name, value in live.items() if value != replayed[name]
        }
    return Difference(
        projection=projection.name, table=table, key=str(key), problem=problem, columns=columns
    )
