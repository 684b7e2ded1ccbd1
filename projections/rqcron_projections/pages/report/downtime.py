"""When nobody decided, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Count, IntegerField, Max, Q, Sum
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from rqcron_events.core.events import EventType, Reason
from rqcron_events.core.events.keys import COUNT
from rqcron_events.ledger import store
from rqcron_events.ledger.lookup import archived_until
from rqcron_events.models import CronEvent

from ...models import CronRun, RunnerSession

__all__ = ["Outage", "outages"]

LISTED_MAX = 5
"""The longest."""
SESSIONS_MAX = 5_000
SHORTEST = timedelta(minutes=1)
"""A restart is no outage."""
RUNS_LATE_SECONDS_MIN = 10.0
CATCHING_UP = timedelta(minutes=15)
"""In which what came due is decided."""
LONGEST_RUN = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stretch without any runner."""

    since: datetime
    until: datetime
    """When one was there again."""
    missed: int | None
    """Slots; None where the decisions about them are archived."""
    late: int
    """Slots that fired afterwards."""
    late_max_seconds: float | None
    killed: int
    """Runs that were at work when it began, and whose worker was gone."""

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()

    @property
    def missed_query(self) -> str:
        """Of the log's address: the decisions that say what was missed."""
        since, until = (at.isoformat() for at in (self.until, self.until + CATCHING_UP))
        kind = EventType.SLOT_MISSED.value
        return urlencode({"event": kind, "since": since, "until": until})


def outages(since: datetime, until: datetime) -> tuple[Outage, ...]:
    """The longest that begin in the range, the newest first; three statements for each."""
    alias = store.connection().alias
    sessions = RunnerSession.objects.using(alias).filter(
        Q(ended_at__gte=since) | Q(ended_at=None), started_at__lt=until
    )
    rows = sessions.order_by("started_at").values_list("started_at", "ended_at")[:SESSIONS_MAX]
    gaps: list[tuple[datetime, datetime]] = []
    covered: datetime | None = None
    for started, ended in rows:
        if covered is not None and started - covered >= SHORTEST:
            gaps.append((covered, started))
        if ended is None:
            break  # alive since then
        covered = max(covered or ended, ended)
    gaps.sort(key=lambda gap: gap[0] - gap[1])
    told = [_told(*gap) for gap in gaps[:LISTED_MAX]]
    archived = archived_until() if told else None
    if archived is not None:
        told = [replace(item, missed=None) if item.until <= archived else item for item in told]
    return tuple(sorted(told, key=_newest_first))


def _newest_first(outage: Outage) -> float:
    return -outage.since.timestamp()


def _told(since: datetime, until: datetime) -> Outage:
    alias = store.connection().alias
    missed = CronEvent.objects.using(alias).filter(
        type=EventType.SLOT_MISSED.value,
        occurred_at__gte=until,
        occurred_at__lt=until + CATCHING_UP,
        scheduled_for__gt=since,
        scheduled_for__lte=until,
    )
    slots = Sum(Cast(KeyTransform(COUNT, "data"), IntegerField()))
    runs = CronRun.objects.using(alias)
    late = runs.filter(
        trigger="slot",
        slot__gt=since,
        slot__lte=until,
        lateness_seconds__gte=RUNS_LATE_SECONDS_MIN,
    ).aggregate(runs=Count("*"), worst=Max("lateness_seconds"))
    killed = runs.filter(
        requested_at__gte=since - LONGEST_RUN,
        requested_at__lte=since,
        finished_at__gte=since,
        outcome_reason=Reason.WORKER_KILLED.value,
    )
    return Outage(
        since=since,
        until=until,
        missed=missed.order_by().aggregate(slots=slots)["slots"] or 0,
        late=late["runs"],
        late_max_seconds=late["worst"],
        killed=killed.count(),
    )
