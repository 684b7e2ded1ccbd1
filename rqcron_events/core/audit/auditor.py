"""Holds promised slots against recorded decisions, and runs against their outcomes. Pure.

Whoever feeds ``CronAuditor`` gives it the events of one cron in the order of their stream; it keeps
counts and a bounded number of findings, whatever the length of the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from ..definition import Definition, Overlap, run_id_for_slot
from ..events import EventType, cron_stream, run_stream
from ..expected_slots import Promise, Slot, promised
from ..interventions.rewind import Rewind
from .findings import (
    FINDINGS_KEPT_MAX,
    SLOTS_KEPT_MAX,
    CronAudit,
    Finding,
    Totals,
    Wrong,
    notes_text,
    version_gap,
)
from .rewinds import Rewinds
from .tally import Decided, RunFacts, Tally, is_whole_stretch

__all__ = ["CronAuditor", "Decided", "RunFacts"]

UNDECIDED_KEPT_MAX = 500
"""Slots whose runs are looked for although nobody decided them."""
WALKED_MAX = 1_000
"""Decisions that cover more slots are counted first, and walked over only where that does not fit."""
CLOCKS_APART_MAX = timedelta(hours=1)
"""A decision about a slot that is this far in the future was not made by any clock."""
STARTED_MARGIN = timedelta(minutes=10)
"""Beyond its timeout, for a started run: RQ notices a dead worker after some minutes at most."""
TIMEOUT_UNKNOWN = timedelta(hours=1)
"""For crons that name no timeout: their queue's is not in the log (RQ's own is three minutes)."""
PENDING_MAX = timedelta(minutes=10)
"""A slot may be due and undecided for this long, beyond its jitter."""
WAITING_MAX = timedelta(days=1)
"""A run may wait for a worker, beyond the pause before its next attempt, for this long."""

_MOMENT = timedelta(microseconds=1)
_BEGINNING = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
_END = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)


class CronAuditor:
    """Holds one cron's decisions and runs against what its definitions promised."""

    def __init__(
        self,
        name: str,
        stretches: Sequence[Promise],
        *,
        now: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        other_rules: Callable[[datetime], str] | None = None,
        rewinds: Sequence[Rewind] = (),
    ) -> None:
        """Slots with ``since <= slot < until`` are audited; None leaves that side open.

        ``other_rules`` says by which rules the slots around an instant were found, if not by
        today's: where the schedule gives other slots today, that is noted and not wrong.
        ``rewinds``: of the cron, in order.
        """
        self._name = name
        self.stream = cron_stream(name)
        self._stretches = stretches
        self._unreadable = [item for item in stretches if item.unreadable]
        self._now = now
        self._since = max(since or _BEGINNING, _BEGINNING)
        self._until = max(min(until or _END, _END), _BEGINNING)
        self._last_possible = now + CLOCKS_APART_MAX
        self._counts: Counter[EventType] = Counter()
        self._rewinds = Rewinds(rewinds, stretches) if rewinds else None
        self._slots = self._promised_after(self._since - _MOMENT)
        self._next = next(self._slots, None)
        self._covered: datetime | None = None
        self._unaccounted: dict[datetime, None] = {}
        self._unaccounted_more = 0
        self._pending = 0
        self._pending_since: datetime | None = None
        self._undecided: list[datetime] = []
        self._open_runs = 0
        self._findings: list[Finding] = []
        self._findings_more = 0
        self._other_rules = other_rules or (lambda _: "")
        self._by_other_rules: Counter[str] = Counter()
        self._by_log: Counter[Promise] = Counter()

    def decided(self, decision: Decided) -> None:
        """The next decision, in the order of the cron's stream."""
        if self._rewinds is not None:
            stands = self._rewinds.still_counts(decision)
            if self._next is not None and self._fired_ahead(self._next):
                self._next = next(self._slots, None)
            if stands is None:
                return
            decision = stands
        due = self._next
        if due is not None and (due.at, due.at, 1, due.definition_version) == decision[1:5]:
            self._counts[decision.type] += 1  # what nearly every one is: the next slot, and no more
            self._covered = due.at
            self._next = next(self._slots, None)
            return
        if decision.last > self._last_possible:
            self._wrong(decision, Wrong.NOT_DUE, f"decides {_text(decision.last)}, in the future")
            return
        if decision.last < self._since:
            return
        self._leave_out_before(decision.first)
        unreadable = self._unreadable_at(decision.last)
        if unreadable is not None:
            self._count_as_recorded(decision, unreadable)
            return
        if self._is_counted(decision):
            self._counts[decision.type] += decision.slots
            self._covered = decision.last
            self._slots = self._promised_after(decision.last)
            self._next = next(self._slots, None)
            return
        tally = Tally(decision.definition_version)
        twice = self._cover_again(decision, tally)
        while self._next is not None and self._next.at <= decision.last:
            tally.add(self._next)
            self._next = next(self._slots, None)
        if self._covered is None or decision.last > self._covered:
            self._covered = decision.last
        rules = self._rules_of(decision, tally)
        if rules:
            self._by_other_rules[rules] += decision.slots
            self._counts[decision.type] += decision.slots - twice
        else:
            self._counts[decision.type] += tally.count - twice
            self._compare(decision, tally)

    def _fired_ahead(self, slot: Slot) -> bool:
        """One that fired before a rewind counts when it comes, and is not to be decided again."""
        ahead = self._rewinds is not None and self._rewinds.fired_ahead(slot.at)
        self._counts[EventType.SLOT_FIRED] += ahead
        return ahead

    def run(self, run: RunFacts, definition: Definition | None) -> None:
        """A run that a slot or a person asked for; ``definition`` is the cron's last one."""
        stream = run_stream(run.run_id)
        gap = version_gap(stream, run.events, run.version, run_id=run.run_id)
        if gap is not None:
            self.found(gap)
        if run.outcomes == 1:
            return
        if run.outcomes:
            text = f"run {run.run_id} has {run.outcomes} outcomes"
            kind = Wrong.SEVERAL_OUTCOMES
        else:
            since = run.started_at or run.last_event_at or run.requested_at
            allowed = _open_for_at_most(run, definition)
            if allowed is None or self._now - since <= allowed:
                self._open_runs += 1
                return
            what = "started" if run.started_at else "last event" if run.events else "asked for"
            text = f"run {run.run_id} has no outcome ({what} at {_text(since)})"
            kind = Wrong.NO_OUTCOME
        self.found(Finding(kind=kind, stream=stream, text=text, run_id=run.run_id))

    def _promised_after(self, instant: datetime) -> Iterator[Slot]:
        until = min(self._until - _MOMENT, self._last_possible)
        slots = promised(self._stretches, instant, until)
        return (slot for slot in slots if not self._fired_ahead(slot))

    def _is_counted(self, decision: Decided) -> bool:
        """It covers very many slots, the next ones, and all that it says: known without walking."""
        due = self._next
        if due is None or decision.slots < WALKED_MAX or decision.last >= self._until:
            return False
        if (due.at, due.definition_version) != (decision.first, decision.definition_version):
            return False
        return is_whole_stretch(self._stretches, decision.first, decision.last, decision.slots)

    def _rules_of(self, decision: Decided, tally: Tally) -> str:
        """The other rules by which the decision found its slots, if today's would be others."""
        whole = self._since <= decision.first <= decision.last < self._until
        found = (tally.first, tally.last, tally.count)
        if not whole or tally.other or found == (decision.first, decision.last, decision.slots):
            return ""
        return self._other_rules(decision.last)

    def _unreadable_at(self, instant: datetime) -> Promise | None:
        if not self._unreadable:
            return None
        return next((item for item in self._unreadable if item.covers(instant)), None)

    def _count_as_recorded(self, decision: Decided, stretch: Promise) -> None:
        """Nothing tells today which slots there were, except for who decided them then."""
        if self._covered is not None and decision.first <= self._covered:
            which = _range_text(decision)
            self._wrong(decision, Wrong.DECIDED_TWICE, f"decides {which} again")
            return
        self._covered = decision.last
        if self._since <= decision.last < self._until:
            self._counts[decision.type] += decision.slots
            self._by_log[stretch] += decision.slots

    def found(self, finding: Finding) -> None:
        """Something that others saw."""
        if len(self._findings) < FINDINGS_KEPT_MAX:
            self._findings.append(finding)
        else:
            self._findings_more += 1

    def end(self) -> dict[UUID, datetime]:
        """After the last decision: what is left of the slots is pending.

        Returns the first undecided slots by the id that a run of each has: there should be none.
        """
        while self._next is not None and self._next.at <= self._now:
            self._pending_since = self._pending_since or self._next.at
            self._pending += 1
            if self._pending <= UNDECIDED_KEPT_MAX:
                self._undecided.append(self._next.at)
            self._next = next(self._slots, None)
        slots = [*islice(self._unaccounted, UNDECIDED_KEPT_MAX), *self._undecided]
        return {run_id_for_slot(self._name, slot): slot for slot in slots}

    def overdue(self, definition: Definition | None) -> None:
        """After the end: whether what is pending has been so for too long. With ``queue`` a slot
        waits for a run that is open, and that is no delay."""
        since = self._pending_since
        if since is None or definition is None:
            return
        if definition.overlap is Overlap.QUEUE and self._open_runs:
            return
        if self._now - since <= PENDING_MAX + definition.jitter:
            return
        text = f"slot {_text(since)} is overdue: no runner has decided it"
        self.found(Finding(kind=Wrong.OVERDUE, stream=self.stream, text=text, slot=since))

    def undecided_run(self, run_id: UUID, slot: datetime) -> None:
        """A run of a slot that nobody decided."""
        text = f"run {run_id} of {_text(slot)} has events, but no decision asked for it"
        self.found(
            Finding(
                kind=Wrong.UNDECIDED_RUN,
                stream=run_stream(run_id),
                text=text,
                slot=slot,
                run_id=run_id,
            )
        )

    def result(self) -> CronAudit:
        unaccounted = len(self._unaccounted) + self._unaccounted_more
        totals = Totals(
            expected=self._counts.total() + unaccounted,
            fired=self._counts[EventType.SLOT_FIRED],
            skipped=self._counts[EventType.SLOT_SKIPPED],
            missed=self._counts[EventType.SLOT_MISSED],
            unaccounted=unaccounted,
            pending=self._pending,
            open_runs=self._open_runs,
            findings=len(self._findings) + self._findings_more,
        )
        return CronAudit(
            cron=self._name,
            totals=totals,
            unaccounted=tuple(self._unaccounted),
            pending_since=self._pending_since,
            findings=tuple(self._findings),
            notes=notes_text(self._by_log, self._by_other_rules),
        )

    def _leave_out_before(self, instant: datetime) -> None:
        """No decision came for the slots before this one."""
        while self._next is not None and self._next.at < instant:
            if rules := self._other_rules(self._next.at):
                self._by_other_rules[rules] += 0  # a slot of today's only: the note is enough
            elif len(self._unaccounted) < SLOTS_KEPT_MAX:
                self._unaccounted[self._next.at] = None
            else:
                self._unaccounted_more += 1
            self._next = next(self._slots, None)

    def _cover_again(self, decision: Decided, tally: Tally) -> int:
        """Slots behind the last one that is decided: how many of them had a decision already."""
        if self._covered is None or decision.first > self._covered:
            return 0
        after = max(decision.first, self._since) - _MOMENT
        until = min(decision.last, self._covered, self._until - _MOMENT)
        twice = late = 0
        for slot in promised(self._stretches, after, until):
            tally.add(slot)
            if slot.at in self._unaccounted:
                del self._unaccounted[slot.at]
                late += 1
            else:
                twice += 1
        which = _range_text(decision)
        if twice:
            some = "" if twice == decision.slots else f"{twice} slot{'s' * (twice > 1)} of "
            self._wrong(decision, Wrong.DECIDED_TWICE, f"decides {some}{which} again")
        if late:
            self._wrong(decision, Wrong.OUT_OF_ORDER, f"decides {which} after later slots")
        return twice

    def _compare(self, decision: Decided, tally: Tally) -> None:
        """Whether the decision covers the slots that it says, under the definition in force."""
        version = decision.definition_version
        if tally.other is not None:
            text = (
                f"decides {_text(tally.other.at)} under definition version {version}, and version "
                f"{tally.other.definition_version} was in force"
            )
            self._wrong(decision, Wrong.WRONG_DEFINITION, text, tally.other.at)
        if not (self._since <= decision.first <= decision.last < self._until):
            if decision.first > decision.last:
                self._wrong(
                    decision,
                    Wrong.WRONG_COUNT,
                    f"decides {_range_text(decision)}, which ends too early",
                )
            return  # a part of it is outside of what is audited
        if (tally.first, tally.last) == (decision.first, decision.last):
            if tally.count != decision.slots:
                which = _range_text(decision)
                text = f"says {decision.slots} slots for {which}, and there are {tally.count}"
                self._wrong(decision, Wrong.WRONG_COUNT, text)
        elif tally.other is None:
            self._not_a_slot(decision, decision.last if tally.first else decision.first)

    def _not_a_slot(self, decision: Decided, instant: datetime) -> None:
        found = [item for item in self._stretches if item.covers(instant)]
        force = found[0] if found and found[0].schedule else None
        if force is None:
            text = f"decides {_text(instant)}, when no definition was in force"
            self._wrong(decision, Wrong.NOT_A_SLOT, text, instant)
        elif force.definition_version == decision.definition_version:
            text = (
                f"decides {_text(instant)}, which is not a slot of definition version "
                f"{force.definition_version}"
            )
            self._wrong(decision, Wrong.NOT_A_SLOT, text, instant)
        else:
            text = (
                f"decides {_text(instant)} under definition version {decision.definition_version}, "
                f"and version {force.definition_version} was in force, which has no such slot"
            )
            self._wrong(decision, Wrong.WRONG_DEFINITION, text, instant)

    def _wrong(
        self, decision: Decided, kind: Wrong, text: str, slot: datetime | None = None
    ) -> None:
        self.found(
            Finding(
                kind=kind,
                stream=self.stream,
                text=f"event {decision.version} of {self.stream} ({decision.type}) {text}",
                version=decision.version,
                slot=slot or decision.last,
            )
        )


def _open_for_at_most(run: RunFacts, definition: Definition | None) -> timedelta | None:
    """How long a run may be without news; None for jobs that may run for ever."""
    options = definition.options if definition else {}
    if run.started_at is None:
        retries = definition.retries if definition else None
        return WAITING_MAX + timedelta(seconds=max(retries.intervals) if retries else 0)
    timeout = options.get("timeout")
    if timeout is None:
        return TIMEOUT_UNKNOWN + STARTED_MARGIN
    return timedelta(seconds=timeout) + STARTED_MARGIN if timeout >= 0 else None


def _range_text(decision: Decided) -> str:
    if decision.first == decision.last:
        return _text(decision.last)
    return f"{_text(decision.first)} to {_text(decision.last)}"


def _text(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
