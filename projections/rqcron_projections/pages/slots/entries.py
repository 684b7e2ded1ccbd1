"""What became of each slot, as marks show it: decisions and runs held against what was promised.

Pure: no database, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rqcron_events.core.events import EventType
from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.wording import duration, late

from ..drawing.marks import Fate
from .decisions import Decision, RunFacts

__all__ = [
    "LATE_SECONDS",
    "TO_COME",
    "Entry",
    "decided",
    "fate_of",
    "fate_of_run",
    "in_order",
    "undecided",
]

TO_COME = "to come"
LATE_SECONDS = 2.0
"""As ``explain`` has it: a slot that fired sooner was on time."""

_WAITING = frozenset({RunStatus.REQUESTED.value, RunStatus.ENQUEUED.value})
_ACTIVE = frozenset({RunStatus.RUNNING.value, RunStatus.RETRYING.value})
_UNDONE = frozenset(
    status.value
    for status in (RunStatus.FAILED, RunStatus.LOST, RunStatus.STOPPED, RunStatus.CANCELLED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One slot, or a stretch of slots of which one thing is to be said."""

    first: datetime
    last: datetime
    """The slot by which it is linked."""
    count: int = 1
    fate: Fate
    reason: str = ""
    lateness_seconds: float = 0.0
    definition_version: int = 0
    run_id: UUID | None = None
    run: RunFacts | None = None

    @property
    def words(self) -> str:
        """What became of it, without when."""
        many = f", {self.count:,} slots" if self.count > 1 else ""
        return f"{self._what}{many}"

    @property
    def _what(self) -> str:
        match self.fate:
            case Fate.SKIPPED | Fate.MISSED:
                return f"{self.fate.word}: {self.reason.replace('_', ' ')}"
            case Fate.PENDING if self.run_id is not None:
                return f"fired {self._punctual}, its run waits in its queue"
            case Fate.PENDING:
                return self.reason or "due, and not decided yet"
            case Fate.ARCHIVED:
                return "archived: its decision is in the archive"
            case Fate.UNACCOUNTED:
                return "unaccounted: no decision is recorded"
            case _:
                return f"fired {self._punctual}{self._run_words}"

    @property
    def _punctual(self) -> str:
        on_time = self.lateness_seconds < LATE_SECONDS
        return "on time" if on_time else late(self.lateness_seconds)

    @property
    def _run_words(self) -> str:
        if self.run is None:
            return ""
        took = self.run.duration_seconds
        for_long = f" in {duration(took)}" if took is not None else ""
        what = f", {self.run.status}{for_long}"
        return f"{what}: {self.problem}" if self.problem else what

    @property
    def headline(self) -> str:
        """The same with what went wrong first."""
        if self.fate is Fate.FAILED and self.run is not None:
            return self._run_words.removeprefix(", ")
        return self.words

    @property
    def problem(self) -> str:
        """The error of its run, or why that did nothing; empty for one that did its work."""
        run = self.run
        if run is None:
            return ""
        if run.error_type:
            return f"{run.error_type}: {run.error_message}" if run.error_message else run.error_type
        return run.outcome_reason


def fate_of(decision: Decision, run: RunFacts | None) -> Fate:
    if decision.type == EventType.SLOT_SKIPPED:
        return Fate.SKIPPED
    if decision.type == EventType.SLOT_MISSED:
        return Fate.MISSED
    return fate_of_run(run.status if run is not None else "", decision.lateness_seconds)


def fate_of_run(status: str, lateness_seconds: float) -> Fate:
    """Of the slot that it ran for, or of one that somebody asked for."""
    if status in _UNDONE:
        return Fate.FAILED
    if status in _WAITING:
        return Fate.PENDING
    if status in _ACTIVE:
        return Fate.RUNNING
    return Fate.LATE if lateness_seconds >= LATE_SECONDS else Fate.ON_TIME


def decided(decisions: Iterable[Decision], runs: Mapping[UUID, RunFacts]) -> Iterator[Entry]:
    """An entry for each decision. Of two about one slot the later counts: a rewind lies between."""
    newest: dict[datetime, Decision] = {}
    for item in decisions:
        known = newest.get(item.last)
        if known is None or known.id < item.id:
            newest[item.last] = item
    for item in newest.values():
        run = runs.get(item.run_id) if item.run_id is not None else None
        yield Entry(
            first=item.first,
            last=item.last,
            count=item.slots,
            fate=fate_of(item, run),
            reason=item.reason,
            lateness_seconds=item.lateness_seconds,
            definition_version=item.definition_version,
            run_id=item.run_id,
            run=run,
        )


def undecided(
    slots: Iterable[tuple[datetime, int]],
    covered: Sequence[Entry],
    *,
    watermark: datetime | None,
    archived_until: datetime | None,
    now: datetime,
) -> Iterator[Entry]:
    """The promised slots (each with the version of its definition) that no entry covers, in order.

    Of those that have come, such that follow one another are one entry; up to the watermark they
    should have been decided, and up to the end of the archive the log need not have the decisions.
    """
    known = iter(sorted(covered, key=lambda item: item.last))
    next_one = next(known, None)
    gap: Entry | None = None
    for slot, version in slots:
        while next_one is not None and next_one.last < slot:
            next_one = next(known, None)
        new: Entry | None = None
        if next_one is None or slot < next_one.first:
            fate = _fate_without_decision(slot, watermark, archived_until)
            reason = TO_COME if slot > now else ""
            new = Entry(first=slot, last=slot, fate=fate, reason=reason, definition_version=version)
        if gap is not None and new is not None and _belong_together(gap, new):
            gap = replace(gap, last=slot, count=gap.count + 1)
            continue
        if gap is not None:
            yield gap
        gap = new
    if gap is not None:
        yield gap


def _fate_without_decision(
    slot: datetime, watermark: datetime | None, archived_until: datetime | None
) -> Fate:
    if watermark is None or slot > watermark:
        return Fate.PENDING
    if archived_until is not None and slot <= archived_until:
        return Fate.ARCHIVED
    return Fate.UNACCOUNTED


def _belong_together(one: Entry, other: Entry) -> bool:
    """What is archived has a page for each slot that tells more."""
    same = one.fate is other.fate and one.fate is not Fate.ARCHIVED
    return same and TO_COME not in (one.reason, other.reason)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda item: item.last)
