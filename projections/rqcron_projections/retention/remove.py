"""Takes old rows away, in short transactions that make nobody wait."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Model

from rqcron_events import clock
from rqcron_events.ledger import store

from ..models import Checkpoint
from .rule import Retention, wanted_from

__all__ = ["remove_old", "remove_when_due"]

log = logging.getLogger(__name__)

BATCH_ROWS = 1_000
BATCHES_MAX = 4
"""Of one call."""
CALL_SECONDS_MAX = 0.5
"""Then the next batch waits for the next call, so that what follows the log goes on in between."""
PAUSE_SECONDS = 60.0
"""Until somebody looks again after nothing was left."""

_next_at = float("-inf")
"""Monotonic seconds; of this process."""


def remove_when_due(name: str, retention: Retention, model: type[Model]) -> int:
    """Once a minute, and again at once for as long as there are more; how many rows went."""
    global _next_at
    began_at = clock.monotonic_seconds()
    if began_at < _next_at:
        return 0
    removed = 0
    for _ in range(BATCHES_MAX):
        batch = remove_old(name, retention, model, wanted_from(clock.now()))
        removed += batch
        if batch < BATCH_ROWS:
            _next_at = clock.monotonic_seconds() + PAUSE_SECONDS
            break
        if clock.monotonic_seconds() - began_at > CALL_SECONDS_MAX:
            break
    if removed:
        log.debug(
            "%d old rows of %s are removed.",
            removed,
            name,
            extra={"action": "old_rows_removed", "projection": name, "rows": removed},
        )
    return removed


def remove_old(name: str, retention: Retention, model: type[Model], wanted: datetime | None) -> int:
    """One batch of ended rows that are older than ``wanted``; how many. The checkpoint of the projection says since
    when all are there, from the same transaction on."""
    if wanted is None:
        return 0
    alias = store.connection().alias
    rows = model._default_manager.using(alias)
    if not rows.filter(retention.old(wanted)).exists():
        return 0
    mine = Checkpoint.objects.using(alias).filter(name=name)
    with transaction.atomic(using=alias):
        # First, as who saves a page does: whoever has read rows until now begins again, and finds them gone.
        mine.update(updated_at=clock.now())
        kept_from = max(filter(None, [wanted, *mine.values_list("kept_from", flat=True)]))
        mine.update(kept_from=kept_from)
        old = rows.filter(retention.old(kept_from)).order_by(retention.at)
        removed, _ = rows.filter(
            pk__in=list(old.values_list("pk", flat=True)[:BATCH_ROWS])
        ).delete()
    return removed
