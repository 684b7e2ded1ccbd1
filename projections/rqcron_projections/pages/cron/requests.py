"""Runs that people asked for: by hand, reruns, backfills."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from rqcron_events.core.events import EventType, keys
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from ..slots.decisions import RunFacts, runs_named

__all__ = ["Asked", "asked_between"]

ASKED_MAX = 50


class Asked(NamedTuple):
    at: datetime
    trigger: str
    slot: datetime | None
    actor: str
    reason: str
    run: RunFacts | None
    run_id: UUID | None


def asked_between(name: str, since: datetime, until: datetime) -> list[Asked]:
    """Newest first, by the index of rare types; two queries."""
    rows = CronEvent.objects.using(store.connection().alias).filter(
        cron=name,
        type=EventType.RUN_REQUESTED.value,
        occurred_at__gte=since,
        occurred_at__lt=until,
    )
    columns = ("occurred_at", "data", "scheduled_for", "actor", "reason", "run_id")
    found = list(rows.order_by("-occurred_at").values_list(*columns)[:ASKED_MAX])
    runs = runs_named({row[5] for row in found if row[5] is not None})
    return [
        Asked(
            at=at,
            trigger=str(data.get(keys.TRIGGER, "manual") if isinstance(data, dict) else "manual"),
            slot=slot,
            actor=actor,
            reason=reason,
            run=runs.get(run_id) if run_id is not None else None,
            run_id=run_id,
        )
        for at, data, slot, actor, reason, run_id in found
    ]
