"""Whether a question reaches into the archive, by what the log answers to it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Max, Subquery

from ..core.events import OUTCOMES, RUNNER_TYPES, Event, EventType, cron_stream
from ..core.explain.evidence import Evidence
from ..ledger import store
from ..models import CronEvent, CronSegment

__all__ = ["LATE_SECONDS", "NEWEST_ARCHIVED", "NEWEST_ARCHIVED_AT", "explanation_reaches"]

LATE_SECONDS = 2.0
"""Whoever asks about a slot that was decided later wants to know which runners were alive."""

_segments = CronSegment.objects.order_by()
NEWEST_ARCHIVED = Subquery(_segments.order_by("-last_id").values("last_id")[:1])
"""The id of the newest event that is archived, for a column of a query that is asked anyway."""
NEWEST_ARCHIVED_AT = Subquery(
    _segments.filter(occurred_to__isnull=False).order_by("-occurred_to").values("occurred_to")[:1]
)
"""The same of its time."""


def explanation_reaches(found: Evidence, archived_to: int) -> bool:
    """Whether more may be known about the slot than the log has."""
    decision = found.decision
    if not archived_to:
        return False
    if decision is None:
        return found.is_unaccounted
    lateness = (decision.occurred_at - found.at).total_seconds()
    is_late = decision.type is not EventType.SLOT_FIRED or lateness >= LATE_SECONDS
    if (decision.id or 0) > archived_to:
        if found.state.rewound_version and decision.type is not EventType.SLOT_FIRED:
            return True  # a decision that was taken back may have fired the slot
        told = found.downtime is not None and found.downtime.since is not None
        is_missed = decision.type is not EventType.SLOT_SKIPPED and is_late
        return is_missed and not told and not _runners_are_told(found.at, archived_to)
    if is_late:
        return True
    has_ended = any(event.type in OUTCOMES for event in found.run_events)
    return not has_ended or not _is_whole_behind(decision, archived_to)


def _runners_are_told(at: datetime, archived_to: int) -> bool:
    """Whether the last that happened to any runner before the instant is behind the archive."""
    rows = CronEvent.objects.using(store.connection().alias).filter(
        type__in=RUNNER_TYPES, occurred_at__lte=at
    )
    newest = rows.order_by("-occurred_at", "-id").values_list("id", flat=True).first()
    return newest is not None and newest > archived_to


def _is_whole_behind(decision: Event, archived_to: int) -> bool:
    """Whether the log has all that was asked of the cron since, up to where the archive ends."""
    rows = CronEvent.objects.using(store.connection().alias).filter(
        stream=cron_stream(decision.cron), version__gte=decision.version, id__lte=archived_to
    )
    found = rows.order_by().aggregate(count=Count("id"), head=Max("version"))
    return bool(found["count"] == found["head"] - decision.version + 1)
