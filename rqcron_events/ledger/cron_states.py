"""The folded state of every cron, kept current by following the log."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Self
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from .. import clock
from ..conf import conf
from ..core.codec import Unreadable
from ..core.cron_state import CronState
from ..core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    LEDGER_STREAM,
    Event,
    EventType,
    cron_stream,
    run_stream,
)
from ..core.events.keys import EVENT, EVENT_STREAM
from ..core.interventions.pauses import GlobalPauses
from ..errors import PositionAhead, PositionArchived, UnreadableEvent
from ..models import CronEvent, CronEventQuerySet
from . import quarantine, store
from .lookup import archived_to
from .reading import Readable, can_be_folded, in_order, not_accepted, readable_rows
from .snapshot import MARKS_MAX, LogMark, Remembered, Snapshot, Unsaved, missing_marks

__all__ = ["States", "global_pauses", "state_of", "states_without_runs"]

_CRON_PREFIX = cron_stream("")
PAGE_EVENTS = 500
"""How many events are read at once by who has other things to do."""
RETRIED_MAX = 1_000
"""Events that were set aside and are looked at again when a process starts."""


class States:
    """All crons in memory. Start with :meth:`load`, then call :meth:`follow` now and then.

    An event that cannot be read or folded is set aside (``quarantine``), and its stream is marked:
    a cron with a mark on its own stream must not be decided, nor a run with one be repaired.
    """

    def __init__(self) -> None:
        self.crons: dict[str, CronState] = {}
        self.all_paused = GlobalPauses()
        self.position = 0
        self.is_behind = False
        """The last look at the log ended before its end."""
        self._was_at_end = False
        """It found nothing new."""
        self.accepted = False
        """Somebody accepted an event since this was last set to False."""
        self._unreadable: dict[str, set[int]] = {}
        """Ids of the events that cannot be read, by stream."""
        self._changed_at: dict[str, int] = {}
        """The number of the last change of each cron, in their order."""
        self.changes = 1
        """The number of the last of all; the first one is that it was made."""
        self._snapshot = Snapshot()
        self.before: Remembered | None = None
        """What the snapshot says, where the log went back behind it; it is not folded in."""
        self._seen: deque[LogMark] = deque(maxlen=MARKS_MAX)
        self._written: deque[LogMark] = deque(maxlen=MARKS_MAX)
        self._went_back = False
        """A cron's stream, or the log, ends before what is known of it."""
        self._kept_to = 0
        """Up to here, the fold rests on what an archive left."""

    @classmethod
    def load(cls, progress: Callable[[], None] | None = None) -> Self:
        """From the snapshot, if it is whole, and the log after it; ``progress`` is told of each
        page."""
        states = cls()
        states._load_snapshot()
        states.follow(progress)
        return states

    def remembered(self) -> Remembered:
        """What is known of the log, and the newest events that were in it."""
        return Remembered(self.position, self.crons, [*self._seen, *self._written])

    def log_went_back(self) -> bool:
        """Whether the log does not have what is known of it, as after a failover: then nothing may
        be decided on this any more."""
        return self._went_back or bool(missing_marks((*self._seen, *self._written)))

    def is_set_aside(self, name: str) -> bool:
        """Whether an event of the cron's own stream cannot be read: it must not be decided."""
        return cron_stream(name) in self._unreadable

    def run_is_set_aside(self, run_id: UUID) -> bool:
        """Whether an event of the run's stream cannot be read."""
        return bool(self._unreadable) and run_stream(run_id) in self._unreadable

    def were_released(self) -> bool:
        """Whether somebody says of an event that was set aside that it can be read: then the log has
        to be folded anew."""
        if not self._unreadable:
            return False
        noted = {row.event_id for row in quarantine.quarantined(quarantine.RUNNER)}
        return any(ids - noted for ids in self._unreadable.values())

    def follow(
        self, progress: Callable[[], None] | None = None, *, seconds_max: float = math.inf
    ) -> set[str]:
        """Fold what was appended since, and return the names of the crons it concerns, the empty string among them
        when everything was paused or resumed. ``progress`` is told of each page. After ``seconds_max`` the rest is
        left to the next call (``is_behind``).
        """
        if self._was_at_end and store.newest().id == self.position:
            return set()  # nothing that was committed since can be before it
        touched: set[str] = set()
        ends_at = clock.monotonic_seconds() + seconds_max
        limit = store.TAIL_EVENTS_MAX if seconds_max == math.inf else PAGE_EVENTS
        self.is_behind = True
        while self.is_behind:
            try:
                page = store.tail(self.position, limit, kept_to=self._kept_to, texts=False)
            except PositionAhead:
                self._went_back = True
                self.is_behind = False
                break
            except PositionArchived:  # runs that are open here may have ended there
                touched |= self.crons.keys()
                self.crons, self.all_paused, self._unreadable = {}, GlobalPauses(), {}
                self.position, self._kept_to = 0, archived_to()
                continue
            self._seen.extend(map(LogMark.of, page.events[-MARKS_MAX:]))
            touched |= self._fold_all(in_order(page.events, page.unreadable))
            if progress is not None:
                progress()
            moved = page.position > self.position
            self.position = page.position
            self.is_behind = moved and len(page.events) + len(page.unreadable) >= limit
            self._was_at_end = not moved
            if clock.monotonic_seconds() >= ends_at:
                break
        self._changed(touched)
        return touched

    def committed(self, events: Sequence[Event]) -> None:
        """Fold events that this process has just appended with these very versions."""
        self._written.extend(map(LogMark.of, events[-MARKS_MAX:]))
        self.apply(events)

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events that this process has just appended."""
        for event in events:
            self._changed(self._fold(event))

    def reload(self, name: str) -> CronState:
        """Read what others appended to one cron's stream, past the position of the tail."""
        state = self.crons.setdefault(name, CronState(name))
        # With the last one that is known: it must still be there.
        own = store.readable_stream(cron_stream(name), max(state.version - 1, 0))
        if state.version and not (own.events or own.unreadable):
            self._went_back = True
        ledger = store.readable_stream(LEDGER_STREAM, self.all_paused.version)
        for found in (own, ledger):
            self._changed(self._fold_all(in_order(found.events, found.unreadable)))
        self._changed({name})
        return state

    def with_open_runs(self, since: int = 0) -> States:
        """A copy for another thread: the crons that have open runs, and nothing of the others.

        With ``since``, the last change that is known there, only what changed after it, crons that
        have no open runs any more included: for :meth:`take`.
        """
        copy = States()
        names = self._changed_since(since) if since else self.crons
        for name in names:
            state = self.crons[name]
            if state.open_runs or since:
                copy.crons[name] = state.copy()
        copy.position, copy.changes = self.position, self.changes
        copy._unreadable = {stream: set(ids) for stream, ids in self._unreadable.items()}
        return copy

    def take(self, newer: States) -> None:
        """Bring a copy with open runs up to date with what changed since it was made."""
        for name, state in newer.crons.items():
            if state.open_runs:
                self.crons[name] = state
            else:
                self.crons.pop(name, None)
        self.position, self.changes = newer.position, newer.changes
        self._unreadable = newer._unreadable

    def _changed(self, names: Iterable[str]) -> None:
        for name in names:
            self.changes += 1
            self._changed_at.pop(name, None)  # to its end
            self._changed_at[name] = self.changes

    def _changed_since(self, changes: int) -> list[str]:
        """The crons that changed after this one; those of before are not looked at."""
        newest = takewhile(
            lambda name: self._changed_at[name] > changes, reversed(self._changed_at)
        )
        return [name for name in newest if name in self.crons]

    def _fold_all(self, items: Iterable[Event | Unreadable]) -> set[str]:
        touched: set[str] = set()
        unreadable: list[Unreadable] = []
        for item in items:
            if isinstance(item, Unreadable):
                unreadable.append(item)
                touched |= self._mark(item)
                continue
            try:
                touched |= self._fold(item)
            except Exception as error:  # it concerns this event, and nobody else (I10)
                for failed in not_accepted(store.connection(), [Unreadable.event(item, error)]):
                    unreadable.append(failed)
                    touched |= self._mark(failed)
        quarantine.set_aside(quarantine.RUNNER, unreadable)
        return touched

    def _fold(self, event: Event) -> set[str]:
        if event.stream == LEDGER_STREAM:
            self.all_paused.apply(event)
            if event.type is EventType.EVENT_ACCEPTED:
                return self._accept(event)
            return {""}
        if not event.cron:
            return set()
        state = self.crons.get(event.cron)
        if state is None:
            state = self.crons[event.cron] = CronState(event.cron)
        state.apply(event)
        return {event.cron}

    def _mark(self, item: Unreadable) -> set[str]:
        """Its version counts: what is appended next comes after it."""
        self._unreadable.setdefault(item.stream, set()).add(item.id)
        if item.stream == LEDGER_STREAM:
            self.all_paused.apply_unreadable(item)
            return {""}
        name = item.stream.removeprefix(_CRON_PREFIX)
        if name == item.stream:
            return {item.cron} & self.crons.keys()
        state = self.crons.setdefault(name, CronState(name))
        if isinstance(item.version, int):
            state.version = max(state.version, item.version)
        return {name}

    def _accept(self, event: Event) -> set[str]:
        """The event counts as nothing: what it left out is left out."""
        stream, event_id = event.data[EVENT_STREAM], event.data[EVENT]
        marks = self._unreadable.get(stream, set())
        if event_id not in marks:
            return set()
        quarantine.release([event_id], quarantine.RUNNER)
        marks.discard(event_id)
        if not marks:
            del self._unreadable[stream]
        self.accepted = True
        if stream == LEDGER_STREAM:
            self.all_paused = global_pauses()
        return {stream.removeprefix(_CRON_PREFIX)} & self.crons.keys()

    def _load_snapshot(self) -> None:
        marks = quarantine.quarantined(quarantine.RUNNER)
        again = [row.event_id for row in marks if can_be_folded(store.connection(), row.event_id)]
        again = again[:RETRIED_MAX]
        if again:  # this release can: fold the log anew, with them
            quarantine.release(again, quarantine.RUNNER)
        found = self._snapshot.load(len(marks) - len(again))
        if found is None or again:
            return
        if missing_marks(found.marks):
            self.before = found
            self._snapshot.forget()
            return
        self.position, self.crons = found.position, dict(found.crons)
        self._seen.extend(found.marks)
        for row in marks:
            self._unreadable.setdefault(row.stream, set()).add(row.event_id)
        ledger = store.readable_stream(LEDGER_STREAM)
        self._fold_all(in_order(ledger.events, ledger.unreadable))

    def unsaved(self) -> Unsaved:
        """What the snapshot lacks, as it is now; made in no time, and saved by whoever has some.

        Only the leader saves, so that all rows are of one position.
        """
        snapshot = self._snapshot
        names = self.crons if snapshot.is_empty else self._changed_since(snapshot.changes)
        known = self.remembered()._replace(crons={name: self.crons[name].copy() for name in names})
        return Unsaved(snapshot, known, sum(map(len, self._unreadable.values())), self.changes)

    def save_snapshot(self, still_leads: Callable[[], bool]) -> bool:
        """Save it here and now, unless another runner leads by now."""
        unsaved = self.unsaved()
        return unsaved.snapshot.save(unsaved, still_leads)


def global_pauses(at: datetime | None = None) -> GlobalPauses:
    """The pauses of everything, by the log as it is now; with ``at``, by what had occurred until
    then."""
    pauses = GlobalPauses()
    found = store.readable_stream(LEDGER_STREAM)
    for item in in_order(found.events, found.unreadable):
        if at is not None and item.occurred_at is not None and item.occurred_at > at:
            continue
        if isinstance(item, Unreadable):
            pauses.apply_unreadable(item)
            continue
        try:
            pauses.apply(item)
        except Exception as error:
            for failed in not_accepted(store.connection(), [Unreadable.event(item, error)]):
                pauses.apply_unreadable(failed)
    return pauses


def state_of(name: str) -> CronState:
    """One cron's definitions, pauses, watermark and version, without its runs.

    Four index look-ups, however long the log is. Phases are not pruned, so all that were ever in
    force are there. Raises UnreadableEvent when one of its definitions cannot be read.
    """
    rows = CronEvent.objects.using(conf().database)
    # The version first: if somebody appends meanwhile, an append on it is refused.
    versions = rows.filter(stream=cron_stream(name)).order_by("-version")
    head = versions.values_list("version", flat=True).first()
    state = CronState(name)
    if head is None:
        return state
    unreadable = _fold_into(state, _read(rows.filter(cron=name, type__in=DEFINITION_TYPES)))
    if unreadable:
        raise UnreadableEvent(unreadable[0])
    for _name, version, slot in newest_decisions(rows.filter(stream=cron_stream(name), version=1)):
        if slot is not None and version > state.rewound_version:
            state.watermark = slot
    state.version = max(state.version, head)
    return state


def states_without_runs() -> tuple[dict[str, CronState], dict[str, str]]:
    """The same of every cron, in two queries, however many crons there are and however long the
    log is; and, by name, why a cron's definitions cannot be read."""
    rows = CronEvent.objects.using(conf().database)
    states: dict[str, CronState] = {}
    unreadable: dict[str, str] = {}
    found = _read(rows.filter(type__in=DEFINITION_TYPES))
    by_cron: dict[str, list[Event]] = {}
    for event in found.events:
        by_cron.setdefault(event.cron, []).append(event)
    for name, events in by_cron.items():
        states[name] = CronState(name)
        for item in _fold_into(states[name], Readable(events, [])):
            unreadable.setdefault(name, str(item))
    for item in found.unreadable:
        unreadable.setdefault(item.cron, str(item))
    for name, version, slot in newest_decisions(rows.of_type(EventType.CRON_REGISTERED)):
        if slot is not None and name in states and version > states[name].rewound_version:
            states[name].watermark = slot
    return {name: states[name] for name in states.keys() - unreadable.keys()}, unreadable


def newest_decisions(of: CronEventQuerySet) -> QuerySet[CronEvent, tuple[str, int, datetime]]:
    """The version and the slot of the newest decision of each cron that has one of these events.

    By version, not by slot: a rewind may have taken back what was decided about the future. By a
    range of streams with equal ends: of one stream PostgreSQL expects as many events as the average
    run has, and would read and sort all that a cron ever had.
    """
    stream = Concat(Value(cron_stream("")), OuterRef("cron"))
    rows = CronEvent.objects.using(conf().database).filter(stream__gte=stream, stream__lte=stream)
    newest = rows.filter(type__in=sorted(DECISIONS)).order_by("-stream", "-version")
    version, slot = (Subquery(newest.values(each)[:1]) for each in ("version", "scheduled_for"))
    return of.order_by().values_list("cron", version, slot).distinct()


def _read(rows: CronEventQuerySet) -> Readable:
    return readable_rows(rows.order_by("id"), store.connection())


def _fold_into(state: CronState, found: Readable) -> list[Unreadable]:
    """Fold what can be; returns what cannot be read or folded."""
    failed: list[Unreadable] = []
    for event in found.events:
        try:
            state.apply(event)
        except Exception as error:
            failed.append(Unreadable.event(event, error))
    return [*found.unreadable, *not_accepted(store.connection(), failed)]
