"""A follower of the log that does not keep up."""

from __future__ import annotations

from datetime import datetime, timedelta

from ...ledger import store
from ...models import CronEvent

__all__ = ["late_follower"]

FOLLOWER_LAG_MAX = timedelta(seconds=60)
"""How long an event may wait for a follower while a runner leads."""


def late_follower(name: str, position: int, events: int, now: datetime) -> list[str]:
    """A sentence if its oldest event waits for long. ``now`` by the database's clock."""
    waiting = CronEvent.objects.using(store.connection().alias).filter(id__gt=position)
    since = waiting.order_by("id").values_list("recorded_at", flat=True).first()
    waited = now - since if since else timedelta(0)
    if waited <= FOLLOWER_LAG_MAX:
        return []
    told = (
        f"Follower {name!r} is {events:,} event{'s' * (events != 1)} behind; the oldest has waited for "
        f"{waited.total_seconds():.0f} s, and the limit is {FOLLOWER_LAG_MAX.total_seconds():.0f} s. "
        "What follows beside the leading runner is dead, hangs, fails or cannot keep up: look for "
        "followers_restarted, follower_failed and projection_failed in that runner's log."
    )
    return [told]
