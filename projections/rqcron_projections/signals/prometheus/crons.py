"""The state of each cron, from the rows of ``crons`` and ``runs``. What is wrong with one is left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import Count, TextField
from django.db.models.functions import Cast

from rqcron_events.core.definition import Overlap
from rqcron_events.core.run_state import RunStatus
from rqcron_events.ledger import store
from rqcron_events.queries.figures import database_now, newest_event, slots_decided_after

from ...cron_total import CronTotal
from ...models import Checkpoint, CronDayState, CronJob, CronRun, CronStatus
from .exposition import Exposition, label
from .unaccounted import Undecided

__all__ = ["CRONS_MAX", "CronRow", "Crons", "read_crons", "tell_crons"]

CRONS_MAX = 20_000
"""Crons with series of their own."""
LAG_EVENTS_MAX = 20_000
"""Further behind, nobody knows from the projections which slots are decided."""
OPEN = [
    status.value
    for status in (RunStatus.REQUESTED, RunStatus.ENQUEUED, RunStatus.RUNNING, RunStatus.RETRYING)
]
_BOUNDS = {
    f"rqcron_cron_{key}": key for key in ("max_lateness_seconds", "max_age_seconds", "max_failures")
}
_TIMES = {
    "rqcron_cron_registered_timestamp_seconds": "registered_at",
    "rqcron_cron_next_slot_timestamp_seconds": "next_slot",
    "rqcron_cron_last_slot_timestamp_seconds": "last_slot",
    "rqcron_cron_last_success_timestamp_seconds": "last_success_at",
    "rqcron_cron_last_failure_timestamp_seconds": "last_failure_at",
}
_JSON = ("definition", "kept")
_INSTANTS = (*_TIMES.values(), "effective_from", "paused_at", "paused_until")
_AS_TEXT = {*_JSON, *_INSTANTS}
_repeated = lru_cache(maxsize=1_000)(label)
"""Of values that many crons have."""
Samples = list[tuple[str, float, str]]


class CronRow(NamedTuple):
    """The columns of ``CronJob`` that are told."""

    name: str
    status: str
    schedule: str
    timezone: str
    queue: str
    definition: dict[str, Any]
    effective_from: datetime
    paused_at: datetime | None
    paused_until: datetime | None
    next_slot: datetime | None
    kept: list[Any]
    last_slot: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    consecutive_failures: int
    registered_at: datetime


@dataclass(slots=True)
class Crons:
    """Those that have series."""

    rows: list[CronRow]
    labels: dict[str, str] = field(default_factory=dict)
    """By stored name, ``cron="..."`` with the present one."""
    statuses: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """By reason."""


def read_crons() -> Crons:
    """All that are not retired, up to a bound. Raises Django's database errors."""
    jobs = CronJob.objects.using(store.connection().alias).order_by("name")
    statuses = jobs.order_by().values_list("status").annotate(Count("name"))
    found = Crons(rows=[], statuses=Counter(dict(statuses)))
    # As texts, which Python reads ten times quicker than psycopg and Django what is typed.
    texts = {f"{name}_text": Cast(name, TextField()) for name in _AS_TEXT}
    names = [f"{name}_text" if name in _AS_TEXT else name for name in CronRow._fields]
    current = jobs.exclude(status=CronStatus.RETIRED).annotate(**texts).values_list(*names)
    found.rows = [_row(values) for values in current[:CRONS_MAX]]
    count = found.statuses.total() - found.statuses[CronStatus.RETIRED]
    found.left_out["too_many"] = max(count - CRONS_MAX, 0)
    found.left_out["unreadable"] = 0
    taken: set[str] = set()
    for row in found.rows:
        # Two samples of one name would make Prometheus refuse the whole scrape.
        text = next((text for text in _labels(row) if text not in taken), None)
        if text is None:
            found.left_out["unreadable"] += 1
        else:
            found.labels[row.name] = text
            taken.add(text)
    return found


def _row(values: Sequence[Any]) -> CronRow:
    found = dict(zip(CronRow._fields, values, strict=True))
    for name in _JSON:
        found[name] = json.loads(found[name])
    for name in _INSTANTS:
        if (text := found[name]) is not None:
            at = datetime.fromisoformat(text)
            found[name] = at if at.tzinfo else at.replace(tzinfo=UTC)  # SQLite stores UTC
    return CronRow(**found)


def _labels(row: CronRow) -> Iterator[str]:
    """By the present name; by the stored one, should another have that."""
    names = row.definition.get("names") if isinstance(row.definition, dict) else None
    if isinstance(names, list) and names:
        yield label("cron", names[-1])
    yield label("cron", row.name)


def tell_crons(out: Exposition, crons: Crons, allowed_lag: timedelta) -> None:
    """``allowed_lag``: how long a slot may be undecided because nobody is called yet. Raises Django's
    database errors."""
    db = store.connection().alias
    now = database_now()
    active = dict(
        CronRun.objects.using(db)
        .filter(status__in=OPEN)
        .order_by()
        .values("cron")
        .annotate(runs=Count("run_id"))
        .values_list("cron", "runs")
    )
    failing = CronDayState.objects.using(db).filter(failing_since__isnull=False)
    since = {cron: at for cron, at in failing.values_list("cron", "failing_since") if at}
    totals = CronTotal.objects.using(db).filter(last_declined_us__isnull=False)
    declined = {cron: us / 1e6 for cron, us in totals.values_list("cron", "last_declined_us") if us}
    undecided = _undecided(now - allowed_lag)
    for row in crons.rows:
        if row.name not in crons.labels:
            continue
        try:
            samples = _samples(row, now, active, since, declined)
            if undecided is not None:
                slots = undecided.slots(row, waits=_waits(row, active))
                samples.append(("rqcron_cron_unaccounted_slots", slots, ""))
        except Exception:  # a row that somebody changed, or of another release
            crons.left_out["unreadable"] += 1
            continue
        own = crons.labels[row.name]
        for name, value, labels in samples:
            out.add(name, value, f"{own},{labels}" if labels else own)
    for status in CronStatus:
        out.add("rqcron_crons", crons.statuses[status], label("status", status))
    for reason, count in crons.left_out.items():
        out.add("rqcron_crons_left_out", count, label("reason", reason))


def _undecided(now: datetime) -> Undecided | None:
    """None where the projection is too far behind to tell."""
    points = Checkpoint.objects.using(store.connection().alias).filter(name="crons")
    position = points.values_list("position", flat=True).first() or 0
    if newest_event() - position > LAG_EVENTS_MAX:
        return None
    return Undecided(now, slots_decided_after(position))


def _waits(row: CronRow, active: Mapping[str, int]) -> bool:
    """Its newest slot waits for a run, and that is no lag."""
    return row.name in active and row.definition.get("overlap") == Overlap.QUEUE


def _samples(
    row: CronRow,
    now: datetime,
    active: Mapping[str, int],
    failing_since: Mapping[str, datetime],
    declined: Mapping[str, float],
) -> Samples:
    info = (("schedule", row.schedule), ("timezone", row.timezone), ("queue", row.queue))
    found: Samples = [
        ("rqcron_cron_info", 1, ",".join(_repeated(name, value) for name, value in info))
    ]
    for name, column in _TIMES.items():
        if (at := getattr(row, column)) is not None:
            found.append((name, at.timestamp(), ""))
    succeeded = row.last_success_at.timestamp() if row.last_success_at else 0.0
    if last_ok := max(succeeded, declined.get(row.name, 0.0)):
        found.append(("rqcron_cron_last_ok_timestamp_seconds", last_ok, ""))
    if row.name in failing_since:
        found.append(
            ("rqcron_cron_failing_since_timestamp_seconds", failing_since[row.name].timestamp(), "")
        )
    is_paused = row.paused_at is not None and (row.paused_until is None or row.paused_until > now)
    found += [
        ("rqcron_cron_consecutive_failures", row.consecutive_failures, ""),
        ("rqcron_cron_paused", int(is_paused), ""),
        ("rqcron_cron_disabled", int(row.status == CronStatus.DISABLED), ""),
        ("rqcron_cron_active_runs", active.get(row.name, 0), ""),
    ]
    for name, key in _BOUNDS.items():
        if (bound := row.definition.get(key)) is not None:
            found.append((name, float(bound), ""))
    return found
