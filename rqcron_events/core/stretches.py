"""The undecided slots of a cron, in stretches to which the same rules apply. Pure.

After an outage of a month a one-second cron has 2.6 million undecided slots. All but the newest are
passed over, for the same few reasons: they are counted, not walked over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from .cron_state import CronState, Phase
from .definition import CatchUp, Definition
from .interventions.pauses import GlobalPauses, Pause
from .interventions.rewind import around
from .schedule import slots_between
from .schedule.slot_count import count_slots, newest_slots

__all__ = ["Span", "Stretch", "due_stretches", "late_bound", "newest_apart", "only_slot", "spans"]

FEW = 50
"""So many slots are cheaper to walk over than to count."""
MOMENT = timedelta.resolution


class Stretch(NamedTuple):
    """Slots of one phase, to all of which the same pauses and the same lateness apply."""

    phase: Phase
    definition: Definition
    first: datetime
    last: datetime
    slots: int
    """How many."""


class Span(NamedTuple):
    """A phase with the instants between which its slots lie: after the first, up to the second."""

    phase: Phase
    definition: Definition
    after: datetime
    until: datetime


def due_stretches(
    state: CronState, now: datetime, *, all_paused: GlobalPauses, late_after: timedelta | None
) -> list[Stretch]:
    """Every slot that is due at ``now`` and not decided, oldest first; few ones each on its own.

    ``late_after``: how late a slot may be and still fire (``late_bound``).
    """
    found: list[Stretch] = []
    for span in spans(state, now):
        schedule = span.definition.schedule
        few = list(slots_between(schedule, span.after, span.until, FEW + 1))
        if len(few) <= FEW:
            found += [Stretch(span.phase, span.definition, slot, slot, 1) for slot in few]
            continue
        pauses = [span.phase.pause, state.phases[-1].pause, *all_paused.pauses]
        found += _parts(span, _changes(span, now, pauses, late_after))
    if found:
        last = found[-1]
        # Jitter never passes the next slot, so only the newest can be waiting for it.
        if last.last + last.definition.delay(last.last) > now:
            found[-1:] = newest_apart(last, 1)[:-1]
    return found


def only_slot(state: CronState, now: datetime) -> Stretch | None:
    """What ``due_stretches`` finds, where it is one slot and nothing has changed since the last decision:
    so it is nearly always, and this is a tenth of the work. None: it may be anything."""
    if len(state.phases) != 1 or state.kept or state.watermark is None:
        return None
    phase = state.phases[0]
    definition = phase.definition
    if definition is None:
        return None
    slot = definition.schedule.next_after(max(state.watermark, phase.start))
    if slot is None or slot + definition.delay(slot) > now:
        return None
    following = definition.schedule.next_after(slot)
    if following is not None and following <= now:
        return None
    return Stretch(phase, definition, slot, slot, 1)


def newest_apart(stretch: Stretch, count: int) -> list[Stretch]:
    """The same slots, with the newest ``count`` of them each on its own."""
    if stretch.slots == 1 or count < 1:
        return [stretch]
    schedule = stretch.definition.schedule
    newest = newest_slots(schedule, stretch.first - MOMENT, stretch.last, count)
    apart = [stretch._replace(first=slot, last=slot, slots=1) for slot in newest]
    older = stretch.slots - len(newest)
    if older < 1:
        return apart
    last = schedule.prev_until(newest[0] - MOMENT)
    assert last is not None
    return [stretch._replace(last=last, slots=older), *apart]


def late_bound(policy: Definition, grace: timedelta) -> timedelta | None:
    """How late a slot may be decided and still fire; None: however late."""
    bounds = [grace] if policy.catch_up is CatchUp.NONE else []
    if policy.max_lateness_seconds is not None:
        bounds.append(timedelta(seconds=policy.max_lateness_seconds))
    return min(bounds, default=None)


def spans(state: CronState, until: datetime) -> list[Span]:
    """Where the undecided slots are, phase by phase; nothing where a cron was retired, nor where a
    definition of the past is refused today: nobody knows its slots, and later ones must go on."""
    if state.watermark is None:
        return []
    found: list[Span] = []
    ends = [*[phase.start for phase in state.phases[1:]], until]
    for phase, end in zip(state.phases, ends, strict=True):
        if phase.definition is None or not (phase is state.phases[-1] or phase.is_readable):
            continue
        start, last = max(state.watermark, phase.start), min(end, until)
        for after, part_end in around(state.kept, start, last):
            span = Span(phase, phase.definition, after, part_end or last)
            if span.after < span.until:
                found.append(span)
    return found


def _changes(
    span: Span, now: datetime, pauses: Sequence[Pause | None], late_after: timedelta | None
) -> list[datetime]:
    """The instants within a span up to which, and after which, other rules apply."""
    found: set[datetime] = set()
    for pause in pauses:
        if pause is not None:
            found |= {pause.since, pause.until} if pause.until else {pause.since}
    if late_after is not None:
        found.add(_last_late(span.definition, now - late_after))
    return sorted(at for at in found if span.after < at < span.until)


def _last_late(definition: Definition, bound: datetime) -> datetime:
    """Slots up to there are due, with their own delay, before the bound; later ones are not.

    The delay of a slot never passes the next one, so it matters for one slot only.
    """
    before = bound - MOMENT
    if not definition.jitter_seconds:
        return before
    slot = definition.schedule.prev_until(before)
    if slot is None or slot + definition.delay(slot) < bound:
        return before
    return slot - MOMENT


def _parts(span: Span, changes: Sequence[datetime]) -> Iterator[Stretch]:
    schedule = span.definition.schedule
    for after, until in zip([span.after, *changes], [*changes, span.until], strict=True):
        first = schedule.next_after(after)
        if first is None or first > until:
            continue
        last = schedule.prev_until(until)
        assert last is not None
        slots = count_slots(schedule, after, until)
        yield Stretch(span.phase, span.definition, first, last, slots)
