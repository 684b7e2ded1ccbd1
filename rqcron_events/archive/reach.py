"""Whether a question reaches into the archive, by what the log answers to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Self

from django.db.models import Count, Max, Subquery

from ..core.events import OUTCOMES, Event, EventType, cron_stream
from ..core.explain.evidence import Evidence
from ..ledger import store
from ..models import CronEvent, CronSegment

__all__ = [
    "LATE_SECONDS",
    "NEWEST_ARCHIVED",
    "NEWEST_ARCHIVED_AT",
    "ArchivedTo",
    "explanation_reaches",
]

LATE_SECONDS = 2.0
"""Whoever asks about a slot that was decided later wants to know which runners were alive."""

_segments = CronSegment.objects.order_by()
NEWEST_ARCHIVED = Subquery(_segments.order_by("-last_id").values("last_id")[:1])
"""The id of the newest event that is archived, for a column of a query that is asked anyway."""
NEWEST_ARCHIVED_AT = Subquery(
    _segments.filter(occurred_to__isnull=False).order_by("-occurred_to").values("occurred_to")[:1]
)
"""The same of its time."""


class ArchivedTo(NamedTuple):
    """How far the log is archived."""

    event_id: int = 0
    """0: not at all."""
    at: datetime | None = None
    """The time of the newest event that is; None where none has one."""

    @classmethod
    def of(cls, rows: Sequence[CronEvent]) -> Self:
        """By the columns of rows that were asked for with NEWEST_ARCHIVED and NEWEST_ARCHIVED_AT."""
        told = vars(rows[0]) if rows else {}
        return cls(told.get("archived_to") or 0, told.get("archived_at"))


def explanation_reaches(found: Evidence, archived: ArchivedTo) -> bool:
    """Whether more may be known about the slot than the log has."""
    decision, archived_to = found.decision, archived.event_id
    if not archived_to:
        return False
    if decision is None:
        return found.is_unaccounted and (archived.at is None or found.at <= archived.at)
    lateness = (decision.occurred_at - found.at).total_seconds()
    is_late = decision.type is not EventType.SLOT_FIRED or lateness >= LATE_SECONDS
    if (decision.id or 0) > archived_to:
        # A decision that was taken back may have fired the slot.
        return bool(found.state.rewound_version) and decision.type is not EventType.SLOT_FIRED
    if is_late:
        return True
    has_ended = any(event.type in OUTCOMES for event in found.run_events)
    return not has_ended or not _is_whole_behind(decision, archived_to)


def _is_whole_behind(decision: Event, archived_to: int) -> bool:
    """Whether the log has all that was asked of the cron since, up to where the archive ends."""
    rows = CronEvent.objects.using(store.connection().alias).filter(
        stream=cron_stream(decision.cron), version__gte=decision.version, id__lte=archived_to
    )
    found = rows.order_by().aggregate(count=Count("id"), head=Max("version"))
    return bool(found["count"] == found["head"] - decision.version + 1)
