"""Rows as they were at some positions of the log, kept by whoever folds it.

A question about the past then begins at one of them, and not at the first event. They are tables of
their projection: a rebuild builds them too, and a check compares them. Nothing is right because of
them, only quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from django.db.models import Exists, F, Max, Model, OuterRef, Q, QuerySet

from rqcron_events.archive.reach import NEWEST_ARCHIVED
from rqcron_events.archive.reading import log_between
from rqcron_events.errors import SegmentUnavailable
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from ..models import CronPastPosition
from ..projection import Projection

__all__ = ["EVENTS_MIN", "is_due", "keep", "keep_if_due", "may_be_due", "positions", "standing"]

EVENTS_MIN = 20_000
"""Between two positions: so many, or twice as many, are folded in a fraction of a second."""
EVENTS_PER_ROW_MIN = 20
"""The same for each row that is kept, so that they take a few percent of the log's room."""

StoredIn = Mapping[type[Model], type[Model]]


def keep_if_due(projection: Projection, stored_in: StoredIn, before: int, position: int) -> None:
    """Keep the rows as they are, if there are enough events since the last time.

    ``before`` is the position at which this was asked last. To be called in the transaction that
    moves the rows to ``position``, when all of them are in their table.
    """
    if projection.past is None or not may_be_due(before, position):
        return
    if is_due(projection, stored_in, position, _of(stored_in[projection.row_model]).count()):
        with suppress(SegmentUnavailable):  # later, then: what is current does not wait for files
            keep(projection, stored_in, position)


def is_due(projection: Projection, stored_in: StoredIn, position: int, rows: int) -> bool:
    """Whether there are enough events since the last time, for so many rows."""
    last = max(positions(projection, stored_in), default=0)
    steps = position // EVENTS_MIN - last // EVENTS_MIN
    return steps >= max(EVENTS_PER_ROW_MIN * rows // EVENTS_MIN, 1)


def may_be_due(before: int, position: int) -> bool:
    """Whether there is any reason to ask the database."""
    return before // EVENTS_MIN != position // EVENTS_MIN


def keep(projection: Projection, stored_in: StoredIn, position: int) -> None:
    """Keep the rows as they are at ``position``, in one statement each. Raises SegmentUnavailable, before
    anything is written, where events since the last time are archived and out of reach."""
    assert projection.past is not None
    last = _of(stored_in[projection.past.positions]).aggregate(last=Max("position"))["last"] or 0
    events = CronEvent._meta.db_table
    bounds = {"after": last, "position": position}
    quote = store.connection().ops.quote_name
    past, marks = (quote(stored_in[model]._meta.db_table) for model in projection.past)
    rows = quote(stored_in[projection.row_model]._meta.db_table)
    fields = projection.row_model._meta.concrete_fields
    columns = [quote(str(field.column)) for field in fields]
    between = "id > %(after)s AND id <= %(position)s"
    with log_between(last, position), store.connection().cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {past} (key, position, latest_at, {', '.join(columns)}) "  # noqa: S608
            f"SELECT CAST(%(position)s AS text) || '/' || {columns[0]}, %(position)s, seen.latest_at, "
            f"{', '.join(columns)} FROM {rows} JOIN ("
            "SELECT cron, MAX(latest_at) AS latest_at FROM ("
            f"SELECT cron, occurred_at AS latest_at FROM {events} WHERE {between} AND cron <> '' "
            f"UNION ALL SELECT name, latest_at FROM {past} WHERE position = %(after)s"
            f") AS either GROUP BY cron) AS seen ON seen.cron = {columns[0]}",
            bounds,
        )
        cursor.execute(
            f"INSERT INTO {marks} (position, after, earliest_at, latest_at, last_event, "  # noqa: S608
            "last_recorded_at) SELECT %(position)s, %(after)s, MIN(occurred_at), MAX(occurred_at), "
            f"MAX(id), (SELECT recorded_at FROM {events} WHERE {between} ORDER BY id DESC LIMIT 1) "
            f"FROM {events} WHERE {between} HAVING COUNT(*) > 0",
            bounds,
        )


def positions(projection: Projection, stored_in: StoredIn) -> list[int]:
    """Where rows were kept, in order."""
    if projection.past is None:
        return []
    found = _of(stored_in[projection.past.positions])
    return list(found.order_by("position").values_list("position", flat=True))


def standing() -> Sequence[CronPastPosition]:
    """The positions up to which the log is still the one that was folded, in order. What is archived is
    sealed, and never another."""
    alias = store.connection().alias
    same = CronEvent.objects.using(alias).filter(
        id=OuterRef("last_event"), recorded_at=OuterRef("last_recorded_at")
    )
    known = CronPastPosition.objects.using(alias).annotate(archived_to=NEWEST_ARCHIVED)
    found = known.filter(Exists(same) | Q(last_event__lte=F("archived_to")))
    return list(found.order_by("position"))


def _of(model: type[Model]) -> QuerySet[Model]:
    return model._default_manager.using(store.connection().alias)
