"""The folded state of every cron, kept current by following the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Self

from django.db import transaction
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Concat

from ..conf import conf
from ..core.cron_state import CronState, GlobalPauses
from ..core.events import DECISIONS, DEFINITION_TYPES, LEDGER_STREAM, Event, EventType, cron_stream
from ..core.wording import clause
from ..models import CronEvent, CronSnapshot
from . import store

__all__ = ["States", "state_of", "states_without_runs"]

POSITION_ROW = ""
FORMAT = 1
"""Of the snapshot; raise it when ``CronState.to_data`` changes, and old snapshots are ignored."""


class States:
    """All crons in memory. Start with :meth:`load`, then call :meth:`follow` now and then."""

    def __init__(self) -> None:
        self.crons: dict[str, CronState] = {}
        self.all_paused = GlobalPauses()
        self.position = 0
        self._changed: set[str] = set()

    @classmethod
    def load(cls) -> Self:
        """From the snapshot, if it is whole, and the log after it."""
        states = cls()
        states._load_snapshot()
        states.follow()
        return states

    def follow(self, progress: Callable[[], None] | None = None) -> set[str]:
        """Fold what was appended since, and return the names of the crons it concerns; ``progress``
        is told of each page.

        The empty string is among them when everything was paused or resumed.
        """
        touched: set[str] = set()
        while True:
            page = store.tail(self.position)
            for event in page.events:
                touched |= self._fold(event)
            if progress is not None:
                progress()
            moved = page.position > self.position
            self.position = page.position
            if not moved or len(page.events) < store.TAIL_EVENTS_MAX:
                break
        self._changed |= touched
        return touched

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events that this process has just appended."""
        for event in events:
            self._changed |= self._fold(event)

    def reload(self, name: str) -> CronState:
        """Read what others appended to one cron's stream, past the position of the tail."""
        state = self.crons.setdefault(name, CronState(name))
        for event in store.read_stream(cron_stream(name), state.version):
            state.apply(event)
        for event in store.read_stream(LEDGER_STREAM, self.all_paused.version):
            self.all_paused.apply(event)
        self._changed.add(name)
        return state

    def with_open_runs(self) -> States:
        """A copy for another thread: the crons that have open runs, and nothing of the others."""
        copy = States()
        for name, state in self.crons.items():
            if state.open_runs:
                runs = {run_id: replace(run) for run_id, run in state.open_runs.items()}
                copy.crons[name] = replace(state, phases=list(state.phases), open_runs=runs)
        copy.position = self.position
        return copy

    def _fold(self, event: Event) -> set[str]:
        if event.stream == LEDGER_STREAM:
            self.all_paused.apply(event)
            return {""}
        if not event.cron:
            return set()
        state = self.crons.get(event.cron)
        if state is None:
            state = self.crons[event.cron] = CronState(event.cron)
        state.apply(event)
        return {event.cron}

    def _load_snapshot(self) -> None:
        rows = {row.name: row for row in CronSnapshot.objects.using(conf().database).iterator()}
        head = rows.pop(POSITION_ROW, None)
        # A row that somebody deleted cannot be folded from the position on: start from scratch.
        if head is None or head.state != {"crons": len(rows), "format": FORMAT}:
            return
        self.position = head.position
        for name, row in rows.items():
            self.crons[name] = CronState.from_data(name, row.state)
        for event in store.read_stream(LEDGER_STREAM):
            self.all_paused.apply(event)

    def save_snapshot(self, still_leads: Callable[[], bool]) -> None:
        """Write the changed states and the position, unless another runner leads by now.

        Only the leader saves, so that all rows are of one position: ``still_leads`` is asked inside
        the transaction, and holds others off until its end.
        """
        database = conf().database
        names = self._changed & self.crons.keys()
        rows = [
            CronSnapshot(name=name, position=self.position, state=self.crons[name].to_data())
            for name in sorted(names)
        ]
        rows.append(
            CronSnapshot(
                name=POSITION_ROW,
                position=self.position,
                state={"crons": len(self.crons), "format": FORMAT},
            )
        )
        with transaction.atomic(using=database):
            if not still_leads():
                return
            CronSnapshot.objects.using(database).bulk_create(
                rows,
                batch_size=500,
                update_conflicts=True,
                unique_fields=["name"],
                update_fields=["position", "state"],
            )
        self._changed.clear()


def state_of(name: str) -> CronState:
    """One cron's definitions, pauses, watermark and version, without its runs.

    Four index look-ups, however long the log is. Phases are not pruned, so all that were ever in
    force are there.
    """
    rows = CronEvent.objects.using(conf().database)
    # The version first: if somebody appends meanwhile, an append on it is refused.
    head = rows.filter(stream=cron_stream(name)).order_by("-version").first()
    state = CronState(name)
    if head is None:
        return state
    for row in rows.filter(cron=name, type__in=DEFINITION_TYPES).order_by("id"):
        state.apply(row.to_event())
    decided = rows.filter(cron=name, type__in=sorted(DECISIONS)).order_by("-scheduled_for").first()
    if decided is not None and decided.scheduled_for is not None:
        state.watermark = decided.scheduled_for
    state.version = max(state.version, head.version)
    return state


def states_without_runs() -> tuple[dict[str, CronState], dict[str, str]]:
    """The same of every cron, in two queries, however many crons there are and however long the
    log is; and, by name, why a cron's definitions cannot be read."""
    rows = CronEvent.objects.using(conf().database)
    states: dict[str, CronState] = {}
    unreadable: dict[str, str] = {}
    for row in rows.filter(type__in=DEFINITION_TYPES).order_by("id").iterator(chunk_size=2000):
        state = states.setdefault(row.cron, CronState(row.cron))
        try:
            state.apply(row.to_event())
        except Exception as error:  # one cron's damage must not hide the others (I10)
            unreadable[row.cron] = f"event {row.id}: {clause(error)}"
    newest = (
        CronEvent.objects.using(conf().database)
        .filter(stream=Concat(Value(cron_stream("")), OuterRef("cron")), type__in=sorted(DECISIONS))
        .order_by("-version")
        .values("scheduled_for")[:1]
    )
    registered = rows.of_type(EventType.CRON_REGISTERED).order_by().values("cron").distinct()
    for name, decided in registered.values_list("cron", Subquery(newest)):
        if decided is not None and name in states:
            states[name].watermark = decided
    return {name: states[name] for name in states.keys() - unreadable.keys()}, unreadable
