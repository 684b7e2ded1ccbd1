"""Events that come after the row that they are about was removed, such as a refused start of an old job."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Min

from rqcron_events.core.events import Event, run_stream
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from .rule import Retention

__all__ = ["of_removed_rows"]


def of_removed_rows(
    retention: Retention,
    kept_from: datetime,
    keyed: Sequence[tuple[Hashable, Event]],
    rows: Collection[Hashable],
) -> set[Hashable]:
    """The keys of those rows, among events that have no row: the run was asked for before ``kept_from``, or so long
    ago that its beginning is not in the log any more. A new row would have half of its events."""
    new = {key for key, event in keyed if retention.begins(event)}
    without = {key for key, _ in keyed} - new - set(rows)
    if not without:
        return set()
    events = CronEvent.objects.using(store.connection().alias)
    run_ids: Any = without
    by_run: Any = events.filter(run_id__in=run_ids).order_by().values("run_id")
    first = by_run.annotate(first=Min("id")).values("first")
    began = events.filter(id__in=first, occurred_at__gte=kept_from)
    known: Any = began.values_list("run_id", "stream")
    return without - {run_id for run_id, stream in known if stream != run_stream(run_id)}
