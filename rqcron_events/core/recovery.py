"""Deciding once more what was decided and lost, because the log went back. Pure.

Nothing fires here: what ran is recorded as fired, by the traces that it left, and every other slot of
that time as missed. Slots that come due later are decided as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from .cron_state import CronState
from .definition import Definition, run_id_for_slot
from .events import Event, Reason, keys, make
from .events.make import InCron, PassedOver
from .schedule.slot_count import count_slots
from .stretches import MOMENT, Span, spans

__all__ = ["Trace", "decided_again", "decided_until"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A run that the log never asked for, and what told of it."""

    run_id: UUID
    cron: str
    slot: datetime | None
    """None when a person asked for it."""
    told_by: tuple[str, ...]
    """See ``keys.RECOVERED_FROM``."""
    decided_at: datetime | None = None
    """About when; None when nothing tells."""
    has_job: bool = False
    """RQ knows it."""
    job: Mapping[str, str] = field(default_factory=dict)
    """What RQ knows, by the keys of ``recovered``."""
    outcome: str = ""
    """Type of the outcome that the log has, or empty."""

    @property
    def is_of_slot(self) -> bool:
        """Whether the slot asked for it, and no person."""
        return self.slot is not None and self.run_id == run_id_for_slot(self.cron, self.slot)

    def __or__(self, other: Trace) -> Trace:
        """What both tell of one run."""
        return Trace(
            run_id=self.run_id,
            cron=self.cron,
            slot=self.slot or other.slot,
            told_by=tuple(sorted({*self.told_by, *other.told_by})),
            decided_at=self.decided_at or other.decided_at,
            has_job=self.has_job or other.has_job,
            job={**other.job, **self.job},
            outcome=self.outcome or other.outcome,
        )

    def to_data(self) -> dict[str, Any]:
        data: dict[str, Any] = {keys.RECOVERED_FROM: list(self.told_by), **self.job}
        if self.outcome:
            data[keys.RECOVERED_OUTCOME] = self.outcome
        return data


def decided_until(
    known: CronState | None, traces: Iterable[Trace], now: datetime
) -> datetime | None:
    """The last slot that was decided before the loss, as far as anything tells: by the watermark that
    somebody remembers, and by the traces."""
    slots = [trace.slot for trace in traces if trace.is_of_slot and trace.slot]
    if known is not None and known.watermark is not None:
        slots.append(known.watermark)
    return max((slot for slot in slots if slot <= now), default=None)


def decided_again(
    state: CronState, traces: Iterable[Trace], until: datetime | None, *, actor: str, now: datetime
) -> list[Event]:
    """Events for the slots after the state's watermark and up to ``until``, and for every run that
    left a trace; in order, with the next versions of the cron's stream."""
    traces = list(traces)
    builder = _Builder(state, actor, now)
    by_slot = {trace.slot: trace for trace in traces if trace.is_of_slot and trace.slot}
    fired: set[UUID] = set()
    for span in spans(state, until) if until is not None else ():
        fired |= set(builder.span(span, by_slot))
    for trace in traces:
        if trace.run_id not in fired:
            builder.requested(trace)
    return builder.events


class _Builder:
    def __init__(self, state: CronState, actor: str, now: datetime) -> None:
        self.events: list[Event] = []
        self._state = state
        self._actor = actor
        self._now = now

    def span(self, span: Span, by_slot: Mapping[datetime, Trace]) -> Iterator[UUID]:
        """The slots of one phase: counted between those that have a trace, not walked over."""
        definition = span.phase.definition
        assert definition is not None
        schedule, after = definition.schedule, span.after
        for slot in sorted(slot for slot in by_slot if span.after < slot <= span.until):
            if schedule.next_after(slot - MOMENT) != slot:
                continue  # another definition's, which was lost, too
            self._missed(span, definition, after, slot - MOMENT)
            yield self._fired(span, definition, by_slot[slot], slot)
            after = slot
        self._missed(span, definition, after, span.until)

    def requested(self, trace: Trace) -> None:
        self.events.append(
            make.run_requested(
                run_id=trace.run_id,
                slot=trace.slot,
                trigger="recovered",
                reason="its decision or request was lost when the log went back",
                recovered=trace.to_data(),
                **self._place(),
            )
        )

    def _fired(self, span: Span, definition: Definition, trace: Trace, slot: datetime) -> UUID:
        due = slot + definition.delay(slot)
        lateness = max(((trace.decided_at or due) - due).total_seconds(), 0.0)
        self.events.append(
            make.slot_fired(
                slot=slot,
                run_id=trace.run_id,
                lateness_seconds=round(lateness, 6),
                definition_version=span.phase.definition_version,
                recovered=trace.to_data(),
                **self._place(),
            )
        )
        return trace.run_id

    def _missed(self, span: Span, definition: Definition, after: datetime, until: datetime) -> None:
        first = definition.schedule.next_after(after)
        if first is None or first > until:
            return
        last = definition.schedule.prev_until(until)
        assert last is not None
        what = PassedOver(
            reason=Reason.DECISION_LOST,
            first=first,
            last=last,
            count=count_slots(definition.schedule, after, until),
            definition_version=span.phase.definition_version,
            evidence={},
            **self._place(),
        )
        self.events.append(make.slot_missed(**what))

    def _place(self) -> InCron:
        version = self._state.version + len(self.events) + 1
        return InCron(cron=self._state.name, version=version, actor=self._actor, at=self._now)
