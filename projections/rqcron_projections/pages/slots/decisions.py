"""The decisions about slots, read from the log by index, and the runs that they became."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet, TextField, Value

from rqcron_events.core.codec import decode_data, event_type
from rqcron_events.core.events import DECISIONS, EventType, cron_stream
from rqcron_events.core.events.keys import COUNT, DEFINITION_VERSION, FIRST, LATENESS_SECONDS
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from ...models import CronRun
from ...report.words import MESSAGE_OF_RUN

__all__ = ["Decision", "RunFacts", "decisions_between", "newest_decisions", "runs_of"]

TYPES = tuple(sorted(item.value for item in DECISIONS))
# Without the stream: PostgreSQL takes cron and stream for independent, expects one row, and would
# rather sort all decisions of a cron than follow the index to the last ones.
_NEWEST = (
    "SELECT id FROM (SELECT id FROM rqcron_event WHERE cron = %s"
    " AND type IN ('slot_fired', 'slot_missed', 'slot_skipped')"
    " ORDER BY scheduled_for DESC LIMIT %s) AS newest"
)
_COLUMNS = (
    "id",
    "stream",
    "cron",
    "type",
    "schema_version",
    "run_id",
    "scheduled_for",
    "reason",
    "data",
)


class Decision(NamedTuple):
    """A slot that fired, or a stretch of slots that were passed over."""

    id: int
    cron: str
    type: str
    first: datetime
    last: datetime
    slots: int
    """How many."""
    reason: str
    run_id: UUID | None
    lateness_seconds: float
    definition_version: int


class RunFacts(NamedTuple):
    """Of a run, as its projection has it."""

    run_id: UUID
    status: str
    duration_seconds: float | None
    queue_wait_seconds: float | None
    error_type: str
    error_message: str
    """Empty where it is not to be shown."""
    outcome_reason: str


def newest_decisions(names: Sequence[str], each: int) -> dict[str, list[Decision]]:
    """The newest so many of each cron, oldest first: two queries for all of them.

    One branch per cron, so that the index gives the last ones of each and nothing else is read.
    """
    if not names:
        return {}
    values: list[str | int] = []
    for name in names:
        values += [name, each]
    with store.connection().cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_NEWEST] * len(names)), values)
        ids = [row[0] for row in cursor.fetchall()]
    found: dict[str, list[Decision]] = {name: [] for name in names}
    rows = CronEvent.objects.using(store.connection().alias).filter(id__in=ids)
    for decision in _read(rows.order_by("scheduled_for", "id")):
        found[decision.cron].append(decision)
    return found


def decisions_between(
    name: str, since: datetime, until: datetime, limit: int
) -> tuple[list[Decision], bool]:
    """Those of one cron about slots with ``since <= slot < until``, oldest first, and whether there
    are more than the limit."""
    rows = CronEvent.objects.using(store.connection().alias)
    own = rows.filter(cron=name, type__in=TYPES)
    inside = own.filter(scheduled_for__gte=since, scheduled_for__lt=until)
    found = list(_read(inside.order_by("scheduled_for", "id")[: limit + 1]))
    if len(found) > limit:
        return found[:limit], True
    # A stretch carries its last slot, so one that begins in the range may end behind it.
    after = own.filter(scheduled_for__gte=until).order_by("scheduled_for", "id")[:1]
    found += [item for item in _read(after) if item.first < until]
    return found, False


def runs_of(decisions: Iterable[Decision], *, messages: bool = False) -> dict[UUID, RunFacts]:
    """The runs that slots became: one query. ``messages``: with what errors said, for who may read it."""
    run_ids = {item.run_id for item in decisions if item.run_id is not None}
    return runs_named(run_ids, messages=messages)


def runs_named(run_ids: Collection[UUID], *, messages: bool = False) -> dict[UUID, RunFacts]:
    if not run_ids:
        return {}
    rows = CronRun.objects.using(store.connection().alias).filter(run_id__in=run_ids)
    message = MESSAGE_OF_RUN if messages else Value("", output_field=TextField())
    found = rows.annotate(error_message=message).values_list(*RunFacts._fields)
    return {row[0]: RunFacts(*row) for row in found}


def _read(rows: QuerySet[CronEvent]) -> Iterable[Decision]:
    for row in rows.values_list(*_COLUMNS):
        decision = _decision(*row)
        if decision is not None:
            yield decision


def _decision(
    event_id: int,
    stream: str,
    cron: str,
    kind: str,
    schema: int,
    run_id: UUID | None,
    slot: datetime | None,
    reason: str,
    stored: Any,
) -> Decision | None:
    """By its columns where the rest cannot be read, as of a newer release."""
    if slot is None or stream != cron_stream(cron):
        return None
    try:
        data = decode_data(event_type(kind), schema, stored)
        first = datetime.fromisoformat(data[FIRST]) if data.get(FIRST) else slot
        count, late = int(data.get(COUNT, 1)), float(data.get(LATENESS_SECONDS) or 0)
        version = int(data.get(DEFINITION_VERSION) or 0)
    except Exception:  # what one event holds must not hide the others
        first, count, late, version = slot, 1, 0.0, 0
    late = max(late, 0.0) if kind == EventType.SLOT_FIRED else 0.0
    return Decision(
        event_id, cron, kind, min(first, slot), slot, count, reason, run_id, late, version
    )
