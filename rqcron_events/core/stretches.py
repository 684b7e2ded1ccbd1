"""Long stretches of slots that nobody decided, told by their ends and their number. Pure.

After an outage of a month a one-second cron has 2.6 million undecided slots. All but the newest are
passed over, for the same few reasons: they are counted, not walked over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from .cron_state import CronState, GlobalPauses, Pause, Phase
from .definition import CatchUp, Definition
from .rewind import around
from .schedule.slot_count import count_slots

__all__ = ["Span", "Stretch", "late_bound", "spans", "stretches"]

FIRST_WINDOW = timedelta(minutes=1)
MOMENT = timedelta.resolution


class Span(NamedTuple):
    """A phase with the instants between which its slots lie: after the first, up to the second."""

    phase: Phase
    after: datetime
    until: datetime


class Stretch(NamedTuple):
    """Slots of one phase, to all of which the same rules apply."""

    phase: Phase
    definition: Definition
    first: datetime
    last: datetime
    slots: int
    """How many."""


def spans(state: CronState, until: datetime) -> list[Span]:
    """Where the undecided slots are, phase by phase; nothing where a cron was retired."""
    if state.watermark is None:
        return []
    ends = [*[phase.start for phase in state.phases[1:]], until]
    found = [
        Span(phase, after, part_until or until)
        for phase, end in zip(state.phases, ends, strict=True)
        for after, part_until in around(
            state.kept, max(state.watermark, phase.start), min(end, until)
        )
    ]
    return [span for span in found if span.phase.definition and span.after < span.until]


def stretches(
    state: CronState,
    now: datetime,
    *,
    all_paused: GlobalPauses,
    late_after: timedelta | None,
    keep: int,
) -> list[Stretch]:
    """The undecided slots, oldest first, but for the newest ones: at least ``keep`` of these are
    left, and all of which jitter decides whether they are too late (``late_after``).

    Empty when there are no more than that.
    """
    cut = _cut(spans(state, now), now, keep)
    if late_after is not None:
        # A slot's own delay moves its bound: leave out those for which that could matter.
        jitter = max(phase.definition.jitter for phase in state.phases if phase.definition)
        cut = min(cut, now - late_after - jitter) if jitter else cut
    found: list[Stretch] = []
    for span in spans(state, cut):
        pauses = [span.phase.pause, state.phases[-1].pause, *all_paused.pauses]
        found += _parts(span, _changes(span, now, pauses, late_after))
    return found


def late_bound(policy: Definition, grace: timedelta) -> timedelta | None:
    """How late a slot may be decided and still fire; None: however late."""
    bounds = [grace] if policy.catch_up is CatchUp.NONE else []
    if policy.max_lateness_seconds is not None:
        bounds.append(timedelta(seconds=policy.max_lateness_seconds))
    return min(bounds, default=None)


def _cut(undecided: Sequence[Span], now: datetime, keep: int) -> datetime:
    """An instant after which at least ``keep`` undecided slots lie, as far as there are so many."""
    if not undecided:
        return now
    window = FIRST_WINDOW
    while (cut := now - window) > undecided[0].after:
        later = (Span(phase, max(after, cut), until) for phase, after, until in undecided)
        if sum(map(_count, later)) >= keep:
            return cut
        window *= 2
    return undecided[0].after


def _count(span: Span) -> int:
    assert span.phase.definition is not None
    if span.after >= span.until:
        return 0
    return count_slots(span.phase.definition.schedule, span.after, span.until)


def _changes(
    span: Span, now: datetime, pauses: Sequence[Pause | None], late_after: timedelta | None
) -> list[datetime]:
    """The instants within a span up to which, and after which, other rules apply."""
    found: set[datetime] = set()
    for pause in pauses:
        if pause is not None:
            found |= {pause.since, pause.until} if pause.until else {pause.since}
    if late_after is not None:
        found.add(now - late_after - MOMENT)
    return sorted(at for at in found if span.after < at < span.until)


def _parts(span: Span, changes: Sequence[datetime]) -> Iterator[Stretch]:
    definition = span.phase.definition
    assert definition is not None
    schedule = definition.schedule
    for after, until in zip([span.after, *changes], [*changes, span.until], strict=True):
        first = schedule.next_after(after)
        if first is None or first > until:
            continue
        last = schedule.prev_until(until)
        assert last is not None
        slots = count_slots(schedule, after, until)
        yield Stretch(span.phase, definition, first, last, slots)
