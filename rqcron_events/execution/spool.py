"""Events that a worker could not write, kept in Redis until the database is back.

The leader drains all runs; a worker drains a run's own before it starts the run again. Each entry
has an id of its own, which goes into the event's data (``spooled``), so that an entry that is
drained twice, or by two at once, is written once.

An entry that cannot be what a worker of this project said of that run, or that the database refuses,
is set aside: moved to a bounded list (``REFUSED_KEY``), which ``cron_health`` counts. One that this
release cannot judge stays where it is, and the others go on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from redis import Redis

from .. import clock
from ..core.bounded import bounded
from ..core.events import OUTCOMES, Event, EventType, make
from ..core.run_state import RunState
from ..errors import CronError, SpoolFull
from ..ledger.run_streams import append_to_run, is_archived, read_run, request_of
from ..process.failpoints import reach
from . import spool_lists
from .spool_entry import Entry, EntryRefused, parse, write
from .spool_lists import INDEX_KEY, REFUSED_KEY, REFUSED_MAX, RUN_ENTRIES_MAX, run_key

__all__ = [
    "INDEX_KEY",
    "REFUSED_KEY",
    "REFUSED_MAX",
    "Drained",
    "drain",
    "drain_run",
    "is_empty",
    "push",
    "run_key",
    "spool_length",
    "spool_refused",
    "spooled_types",
]

log = logging.getLogger(__name__)

RUNS_MAX = 200_000
"""About 1 GB of tracebacks at worst; beyond it the reconciler has to find the outcomes in RQ."""
RUNS_PER_DRAIN = 50
"""Some five milliseconds each; slots are decided in between."""
ENTRIES_PER_DRAIN = 500
ENTRIES_PER_READ = 50
_ITS_OWN_TROUBLE = (
    DatabaseError, CronError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""What reading or writing one run's stream may raise because of what is in it; such an event of a
newer release is a ValueError. Never a time limit, and no error of Redis."""


class Drained(NamedTuple):
    """What became of entries of the spool."""

    written: list[Event]
    refused: Counter[str]
    """By reason."""
    removed: int
    """How many entries are in Redis no longer, those included that were in the ledger already."""
    stays: bool
    """Entries are left."""


def push(connection: Redis, event: Event) -> None:
    """Keep an event of a run. Raises redis-py's errors, and SpoolFull."""
    assert event.run_id is not None
    raw = write(event)
    if spool_lists.length(connection) >= RUNS_MAX:
        raise SpoolFull(
            f"The events of {RUNS_MAX:,} runs wait in Redis for the database already. "
            "Bring the database back; a runner then writes them."
        )
    if not spool_lists.add(connection, event.run_id, raw, event.occurred_at.timestamp()):
        raise SpoolFull(
            f"{RUN_ENTRIES_MAX:,} events of run {event.run_id} wait in Redis already. "
            "Bring the database back; a runner then writes them."
        )


def spool_length(connections: Iterable[Redis]) -> int:
    """Runs whose events wait, on all Redis servers. Raises redis-py's errors."""
    return sum(map(spool_lists.length, connections))


def spool_refused(connections: Iterable[Redis]) -> int:
    """Entries that were set aside and are kept. Raises redis-py's errors."""
    return sum(map(spool_lists.refused_count, connections))


def is_empty(connection: Redis, run_id: UUID) -> bool:
    """Whether nothing waits for that run. Raises redis-py's errors."""
    return not connection.exists(run_key(run_id))


def spooled_types(connection: Redis, run_id: UUID) -> list[EventType]:
    """What waits for one run, oldest first, and can be believed. Raises redis-py's errors."""
    found: list[EventType] = []
    looked_at = 0
    while looked_at < RUN_ENTRIES_MAX:
        entries, _ = spool_lists.read(connection, run_id, looked_at, ENTRIES_PER_READ)
        if not entries:
            break
        looked_at += len(entries)
        for raw in entries:
            try:
                found.append(parse(raw, run_id, clock.now()).type)
            except ValueError:  # refused, or of a newer release
                continue
    return found


def drain(connection: Redis) -> tuple[list[Event], bool]:
    """Write the events of the runs that wait longest; returns what was written, and whether more
    can be done at once. Raises redis-py's errors, and Django's when the database is away.
    """
    run_ids, refused_members = spool_lists.runs(connection, RUNS_PER_DRAIN)
    written: list[Event] = []
    refused = Counter({"a member of the index that is not a run id": refused_members})
    removed = 0
    for run_id in run_ids:
        drained = _drain_run(connection, run_id, ENTRIES_PER_DRAIN - removed)
        written += drained.written
        refused += drained.refused
        removed += drained.removed
        if drained.stays:
            spool_lists.later(connection, run_id)
        else:
            removed += 1  # from the index
        if removed >= ENTRIES_PER_DRAIN:
            break
    _say_refused(refused)
    moved = removed + refused_members > 0
    return written, moved and spool_lists.length(connection) > 0


def drain_run(connection: Redis, run_id: UUID) -> Drained:
    """Write one run's events in order. Raises as :func:`drain` does."""
    drained = _drain_run(connection, run_id, RUN_ENTRIES_MAX)
    _say_refused(drained.refused)
    return drained


def _drain_run(connection: Redis, run_id: UUID, entries_max: int) -> Drained:
    """Each is removed only after its commit: who dies in between leaves an entry whose id the next
    one finds in the log.
    """
    written: list[Event] = []
    refused: Counter[str] = Counter()
    removed = 0
    stays = False
    while removed < entries_max and not stays:
        wanted = min(ENTRIES_PER_READ, entries_max - removed)
        entries, oversized = spool_lists.read(connection, run_id, 0, wanted)
        refused["too large or too many"] += oversized
        if not entries:
            spool_lists.forget(connection, run_id)
            return Drained(written, +refused, removed, stays=False)
        for raw in entries:
            try:
                written += _write(run_id, parse(raw, run_id, clock.now()))
            except (EntryRefused, DataError, IntegrityError) as error:
                why = bounded(str(error).partition("\n")[0], 300)
                spool_lists.set_aside(connection, run_id, raw, why)
                refused[why] += 1
            except (OperationalError, InterfaceError):
                raise  # the database is away
            except _ITS_OWN_TROUBLE as error:
                _say_stays(run_id, f"{type(error).__name__}: {bounded(str(error), 300)}")
                stays = True
                break
            else:
                reach("drain_written")
                spool_lists.remove(connection, run_id, raw)
            removed += 1
    return Drained(written, +refused, removed, stays=True)


def _write(run_id: UUID, entry: Entry) -> list[Event]:
    run = read_run(run_id)  # first: of a run that cannot be read, nothing can be judged
    request = request_of(run_id)
    if request is None:
        what = "the run is archived, so it has ended"
        if not is_archived(run_id, entry.occurred_at):
            what = "the ledger has no decision and no request of that run"
        raise EntryRefused(what)
    if request != (entry.cron, entry.slot):
        raise EntryRefused("the ledger has another cron or another slot for that run")

    def build(state: RunState) -> list[Event]:
        if entry.id in state.spooled or (entry.type in OUTCOMES and state.outcome is not None):
            return []
        if entry.type is EventType.RUN_STARTED and (entry.actor, entry.occurred_at) in state.starts:
            return []  # it was written after all, later than its worker waited
        if entry.type is EventType.ATTEMPT_FAILED:
            newest = state.attempt if state.running else state.attempt + 1
            if (entry.attempt or 0) < newest:
                return []  # the same, or a later attempt has begun and recorded the end of this one
        event = make.spooled(
            entry.type,
            entry.data,
            entry_id=entry.id,
            cron=entry.cron,
            run_id=run_id,
            version=state.version + 1,
            slot=entry.slot,
            attempt=entry.attempt,
            reason=entry.reason,
            actor=entry.actor,
            at=entry.occurred_at,
        )
        return [event]

    return append_to_run(run, build)


def _say_refused(refused: Counter[str]) -> None:
    for why, count in (+refused).most_common(3):
        log.error(
            "%d entr%s of the spool refused: %s. Look at them: redis-cli LRANGE %s 0 9",
            count,
            "y" if count == 1 else "ies",
            why,
            REFUSED_KEY,
            extra={"action": "spool_refused", "entries": count},
        )


@lru_cache(maxsize=1_000)
def _say_stays(run_id: UUID, why: str) -> None:
    """Once for each run and reason."""
    log.error(
        "Events of run %s wait in Redis and cannot be written to the ledger: %s. They stay there; "
        "other runs go on.",
        run_id,
        why,
        extra={"action": "spool_run_stays", "run_id": str(run_id)},
    )
