"""How much of the log is sealed, who knows of it, and whether it was found right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..conf import conf
from ..core.wording import clause
from ..ledger import store
from ..models import CronEvent, SealProgress
from ..seals.progress import ARCHIVING, SEALING, VERIFYING, of_receiver, rows
from ..seals.receivers.send import CONTRADICTION
from ..seals.stored import newest_seal
from ..seals.verify import OUTSIDE

__all__ = ["Seals", "look_at_seals"]

LATE_MIN = timedelta(minutes=5)
"""An event that waits longer for its seal, or a receiver for a checkpoint, is told of, if the setting does
not say that it is seldom."""


@dataclass(slots=True, kw_only=True)
class Seals:
    """What health tells of seals."""

    sealed_events: int = 0
    sealed_to: int = 0
    unsealed_seconds: float = 0.0
    """How long the oldest event has waited for a seal."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_data(self) -> dict[str, Any]:
        return {
            "sealed_events": self.sealed_events,
            "sealed_to": self.sealed_to,
            "unsealed_seconds": round(self.unsealed_seconds, 3),
        }


def look_at_seals(now: datetime) -> Seals:
    """Where the project has a key. ``now`` by the database's clock."""
    settings = conf()
    found, newest = Seals(), newest_seal()
    if newest is not None:
        found.sealed_events, found.sealed_to = newest.size, newest.last_id
    events = CronEvent.objects.using(store.connection().alias).filter(id__gt=found.sealed_to)
    since = events.order_by("id").values_list("recorded_at", flat=True).first()
    if since is not None:
        found.unsealed_seconds = max((now - since).total_seconds(), 0.0)
    late = max(LATE_MIN, timedelta(seconds=3 * (settings.seal_seconds or 0)))
    if settings.seal_seconds and found.unsealed_seconds > late.total_seconds():
        found.warnings.append(
            f"Events have waited for {found.unsealed_seconds:.0f} s to be sealed; the limit is "
            f"{late.total_seconds():.0f} s. See seal_refused and follower_failed in the leading runner's log."
        )
    failing = {row.name: row for row in rows().filter(failing_since__isnull=False)}
    found.problems += _told(failing, now - late)
    if settings.keep_days is not None and ARCHIVING in failing:
        found.warnings.append(failing[ARCHIVING].told)
    return found


def _told(failing: Mapping[str, SealProgress], long_ago: datetime) -> Iterator[str]:
    if SEALING in failing:
        yield failing[SEALING].told
    for name in (VERIFYING, OUTSIDE):
        if name in failing:
            yield f"cron_verify found the log changed: {failing[name].told}"
    for receiver in conf().seal_receivers:
        row = failing.get(of_receiver(receiver))
        if row is None or row.failing_since is None:
            continue
        if row.told.startswith(CONTRADICTION):  # this does not pass by itself
            yield f"Receiver {receiver!r} {clause(row.told)}."
        elif row.failing_since < long_ago:
            yield (
                f"Receiver {receiver!r} has not taken a checkpoint since "
                f"{row.failing_since:%Y-%m-%d %H:%M:%S} UTC: {clause(row.told)}."
            )
