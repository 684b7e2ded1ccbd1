"""How many slots are due and not decided, by the definition in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rqcron_events.core.definition import Definition
from rqcron_events.core.interventions.rewind import Kept, around
from rqcron_events.core.schedule.slot_count import count_slots
from rqcron_events.queries.figures import MAX_LAG_SECONDS

if TYPE_CHECKING:
    from .crons import CronRow

__all__ = ["COUNTED_CRONS_MAX", "Undecided"]

COUNTED_CRONS_MAX = 1_000
"""Crons whose slots are counted; of those beyond, only whether there is one. The runner is dead then."""
LAG = timedelta(seconds=MAX_LAG_SECONDS)
"""As ``cron_health``: what is due for less is about to be decided."""
DAY = timedelta(days=1)


@dataclass(slots=True)
class Undecided:
    """Counts for one cron after the other."""

    now: datetime
    """By the database's clock."""
    decided: Mapping[str, datetime]
    """By cron, the last slot decided in events that are in no row yet."""
    counted: int = 0

    def slots(self, row: CronRow, *, waits: bool) -> int:
        """Those of the last day. Raises ValueError, TypeError or KeyError for a definition that
        cannot be read."""
        until = self.now - LAG
        fires_later = row.next_slot is not None and row.next_slot > until
        if waits or fires_later:
            return 0
        if self.counted >= COUNTED_CRONS_MAX:
            return int(row.next_slot is not None and row.name not in self.decided)
        definition = Definition.from_data(row.definition)
        until -= definition.jitter
        after = max(
            row.last_slot or row.effective_from,
            row.effective_from,
            self.decided.get(row.name, row.effective_from),
        )
        if after >= until:
            return 0
        self.counted += 1
        kept = [Kept(*map(datetime.fromisoformat, pair)) for pair in row.kept]
        return sum(
            count_slots(definition.schedule, start, end or until)
            for start, end in around(kept, max(after, until - DAY), until)
        )
