"""Pauses: of one cron, and of everything, folded from the ``ledger`` stream."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from ..codec import Unreadable
from ..events import Event, EventType
from ..events.keys import (
    PAUSE_ACTOR,
    PAUSE_REASON,
    PAUSE_REPLACED,
    PAUSE_SINCE,
    PAUSE_UNTIL,
    UNTIL,
)

__all__ = ["GlobalPauses", "Pause"]

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
PAUSES_KEPT_MAX = 1000
"""How many pauses of everything are remembered; they are people's actions, so this is years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Somebody stopped a cron, or all of them."""

    since: datetime
    until: datetime | None
    """When it ends by itself, or None."""
    reason: str
    actor: str
    replaced: Pause | None = field(default=None, compare=False)
    """The one that this one ended; the state of older releases does not have it."""

    def instead_of(self, before: Pause | None) -> Pause:
        """This one, which knows of the one before it, if that was still in force."""
        if before is None or not (before.since <= self.since and before.lasts_until(self.since)):
            return self
        return replace(self, replaced=replace(before, replaced=None))

    def is_in_force(self, now: datetime) -> bool:
        """From the moment that somebody paused; slots are paused from behind it."""
        return self.since <= now and (self.until is None or now <= self.until)

    def lasts_until(self, instant: datetime) -> bool:
        return self.until is None or self.until > instant

    def covers(self, instant: datetime) -> bool:
        return self.since < instant and (self.until is None or instant <= self.until)

    def to_data(self) -> dict[str, Any]:
        data = {
            PAUSE_SINCE: self.since.isoformat(),
            PAUSE_UNTIL: self.until.isoformat() if self.until else None,
            PAUSE_REASON: self.reason,
            PAUSE_ACTOR: self.actor,
        }
        return {**data, PAUSE_REPLACED: self.replaced.to_data()} if self.replaced else data

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        return cls(
            since=datetime.fromisoformat(data[PAUSE_SINCE]),
            until=datetime.fromisoformat(data[PAUSE_UNTIL]) if data[PAUSE_UNTIL] else None,
            reason=data[PAUSE_REASON],
            actor=data[PAUSE_ACTOR],
            replaced=cls.from_data(data[PAUSE_REPLACED]) if data.get(PAUSE_REPLACED) else None,
        )


@dataclass(slots=True)
class GlobalPauses:
    """The pauses of everything, folded from the ``ledger`` stream."""

    version: int = 0
    pauses: list[Pause] = field(default_factory=list)
    _unreadable: set[int] = field(default_factory=set)
    """Versions of the events that cannot be read."""

    def apply(self, event: Event) -> None:
        if event.version <= self.version:
            return
        self.version = event.version
        if event.type is EventType.ALL_PAUSED:
            pause = Pause(
                since=event.effective_from,
                until=event.parsed_time(UNTIL),
                reason=event.reason,
                actor=event.actor,
            )
            before = self.pauses[-1] if self.pauses else None
            self._end_open_pause(event.effective_from)
            self.pauses.append(pause.instead_of(before))
            del self.pauses[:-PAUSES_KEPT_MAX]
        elif event.type is EventType.ALL_RESUMED:
            self._end_open_pause(event.effective_from)

    def apply_unreadable(self, item: Unreadable) -> None:
        """Fold in what cannot be read: the safe way, because nobody knows what it said.

        A pause is one without an end, from when it occurred, or else from ever. The end of one
        ends nothing.
        """
        if item.version in self._unreadable:
            return
        self._unreadable.add(item.version)
        self.version = max(self.version, item.version)
        if item.type == EventType.ALL_PAUSED:
            since = item.occurred_at or _EVER
            reason = f"event {item.id}, which cannot be read: see cron_quarantine"
            self._end_open_pause(since)
            self.pauses.append(Pause(since=since, until=None, reason=reason, actor=""))

    def _end_open_pause(self, at: datetime) -> None:
        if self.pauses and (self.pauses[-1].until is None or at < self.pauses[-1].until):
            last = self.pauses[-1]
            self.pauses[-1] = replace(last, until=at)

    def in_force(self, now: datetime) -> Pause | None:
        """The one that nobody has ended, or None."""
        last = self.pauses[-1] if self.pauses else None
        return last if last is not None and last.is_in_force(now) else None

    def at(self, instant: datetime) -> Pause | None:
        """The pause that covers the instant, or None."""
        for pause in reversed(self.pauses):
            if pause.covers(instant):
                return pause
        return None
