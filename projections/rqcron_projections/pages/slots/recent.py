"""The newest slots of many crons, for a strip in each row: a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from rqcron_events.core.definition import Definition
from rqcron_events.core.schedule import Schedule, slots_between
from rqcron_events.core.schedule.slot_count import count_slots
from rqcron_events.ledger.lookup import archived_until

from ...folds.cron_status import RETIRED
from ...models import CronJob
from ..drawing.marks import Fate
from .decisions import newest_decisions, runs_of
from .entries import Entry, decided, in_order

__all__ = ["SLOTS_MAX", "recent_entries"]

SLOTS_MAX = 10
"""In a strip. A stretch of slots that were passed over is one mark."""
HOLES_MAX = 20
"""Slots that are looked for between two decisions: beyond, it is a hole all the same."""


def recent_entries(
    rows: Sequence[CronJob], now: datetime, *, messages: bool = False
) -> dict[str, list[Entry]]:
    """By cron, oldest first: what was decided, what should have been, and what is due. ``messages``: see
    ``runs_of``."""
    decisions = newest_decisions([row.name for row in rows], SLOTS_MAX)
    all_decisions = (item for items in decisions.values() for item in items)
    runs = runs_of(all_decisions, messages=messages)
    archived = archived_until()
    found: dict[str, list[Entry]] = {}
    for row in rows:
        entries = in_order(decided(decisions[row.name], runs))
        others = _not_decided(row, entries, archived, now)
        found[row.name] = in_order([*entries, *others])[-SLOTS_MAX:]
    return found


def _not_decided(
    row: CronJob, entries: Sequence[Entry], archived: datetime | None, now: datetime
) -> Iterator[Entry]:
    """Under the definition in force; where earlier ones left a hole, the page of the cron tells."""
    schedule = _schedule(row)
    if schedule is None or row.status == RETIRED:
        return
    for before, after in pairwise(entries):
        if before.last >= row.effective_from and not row.kept:
            yield from _holes(schedule, before.last, after.first, archived)
    since = max(row.last_slot or row.effective_from, row.effective_from)
    if entries:  # the projection may lag, or lack an event
        since = max(since, entries[-1].last)
    due, newest = schedule.next_after(since), schedule.prev_until(now)
    if due is not None and newest is not None and due <= newest:
        yield _entry(due, newest, count_slots(schedule, since, now), Fate.PENDING)


def _holes(
    schedule: Schedule, after: datetime, before: datetime, archived: datetime | None
) -> Iterator[Entry]:
    """The slots between two decisions: up to the end of the archive, and those behind it."""
    end = min(max(after, archived), before) if archived is not None else after
    for start, stop, fate in ((after, end, Fate.ARCHIVED), (end, before, Fate.UNACCOUNTED)):
        slots = slots_between(schedule, start, stop, HOLES_MAX + 1) if start < stop else ()
        missing = [slot for slot in slots if slot < before][:HOLES_MAX]
        if missing:
            yield _entry(missing[0], missing[-1], len(missing), fate)


def _entry(first: datetime, last: datetime, count: int, fate: Fate) -> Entry:
    return Entry(first=first, last=last, count=count, fate=fate)


def _schedule(row: CronJob) -> Schedule | None:
    try:
        return Definition.from_data(row.definition).schedule
    except (ValueError, TypeError, KeyError):  # of a newer release, or of a zone unknown here
        return None
