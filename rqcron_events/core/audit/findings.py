"""What an audit finds: counts, slots that nobody decided, and everything else that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ..events import Event, keys
from ..expected_slots import Promise

__all__ = [
    "NOT_PROVED",
    "Audit",
    "CronAudit",
    "Finding",
    "Loss",
    "Totals",
    "Wrong",
    "missing_versions",
    "notes_text",
    "version_gap",
]

NOT_PROVED = (
    "that the log was never rewritten by somebody who owns its table",
    "that the newest events were not taken out together with all that followed from them",
    "that functions did their work: a run that succeeded is one that raised nothing",
)
"""What an audit without findings does not say."""
SLOTS_KEPT_MAX = 1000
"""Unaccounted slots that are listed per cron; the rest is counted."""
FINDINGS_KEPT_MAX = 100
"""The same for everything else that is wrong."""


class Wrong(StrEnum):
    """What can be wrong besides a slot that nobody decided."""

    WRONG_DEFINITION = "wrong_definition"
    NOT_A_SLOT = "not_a_slot"
    WRONG_COUNT = "wrong_count"
    """A stretch of slots says another count than the schedule has."""
    DECIDED_TWICE = "decided_twice"
    OUT_OF_ORDER = "out_of_order"
    """A slot was decided after later ones: correct in number, but explain may not find it."""
    NOT_DUE = "not_due"
    """Decided although it lies in the future."""
    UNDECIDED_RUN = "undecided_run"
    """A run of a slot, and no decision that asked for it."""
    NO_OUTCOME = "no_outcome"
    SEVERAL_OUTCOMES = "several_outcomes"
    VERSION_GAP = "version_gap"
    """Events of a stream are not there any more."""
    UNREADABLE = "unreadable"
    OVERDUE = "overdue"
    """A slot has been pending for longer than any runner, jitter or run explains."""
    SNAPSHOT_DIFFERS = "snapshot_differs"
    """The cached state is not what the log says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: Wrong
    stream: str
    text: str
    """One sentence for a person."""
    version: int | None = None
    """The event in the stream, where it is about one."""
    slot: datetime | None = None
    run_id: UUID | None = None

    def to_data(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "text": self.text,
            "stream": self.stream,
            "version": self.version,
            "slot": self.slot.isoformat() if self.slot else None,
            "run_id": str(self.run_id) if self.run_id else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The log went back, as after a failover: events were committed, and are gone."""

    epoch: int
    """How often it had gone back then, this time included."""
    since: datetime | None
    """When the last event before the loss was written; None when none is left."""
    until: datetime
    """When it was noticed."""
    streams: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """The last version that was known, and the last that was left, of crons."""

    @classmethod
    def of(cls, event: Event) -> Loss:
        """``log_went_back`` as what it means."""
        return cls(
            epoch=event.data[keys.EPOCH],
            since=event.parsed_time(keys.LOST_SINCE),
            until=event.parsed_time(keys.LOST_UNTIL) or event.occurred_at,
            streams=event.data.get(keys.LOST_STREAMS, {}),
        )

    def covers(self, instant: datetime) -> bool:
        """Whether an event of that time may be among the lost ones."""
        return (self.since is None or self.since < instant) and instant <= self.until

    @property
    def text(self) -> str:
        if self.since is None:
            return (
                "Redis had jobs of runs that the log does not know, until "
                f"{self.until:%Y-%m-%d %H:%M:%S} UTC: the database is a new one beside an old Redis, "
                "or all its events were lost. What was left of them is recorded as found "
                "(decision_lost, recovered)"
            )
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        crons = len(self.streams)
        return (
            f"the log went back, as after a failover or a restored copy: events from {since} to "
            f"{self.until:%Y-%m-%d %H:%M:%S} UTC were lost, of {crons} cron{'s' * (crons != 1)} or more. "
            "What was left of them is recorded as found (decision_lost, recovered)"
        )

    def to_data(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat(),
            "streams": {stream: list(versions) for stream, versions in self.streams.items()},
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The counts of one cron, or of all."""

    expected: int = 0
    """Slots that were promised, up to the last one that is decided."""
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    unaccounted: int = 0
    """Promised, and no decision covers them although later ones are decided."""
    pending: int = 0
    """Due by now, and later than the last decision: the next runner decides them."""
    open_runs: int = 0
    """Without an outcome, and not for too long."""
    findings: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            **{item.name: getattr(self, item.name) + getattr(other, item.name) for item in _COUNTS}
        )

    def to_data(self) -> dict[str, int]:
        return {item.name: getattr(self, item.name) for item in _COUNTS}


_COUNTS = fields(Totals)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronAudit:
    """What was found about one cron."""

    cron: str
    totals: Totals
    unaccounted: tuple[datetime, ...] = ()
    """The first ones, at most SLOTS_KEPT_MAX; ``totals.unaccounted`` counts all."""
    pending_since: datetime | None = None
    """The oldest slot that is due and undecided."""
    findings: tuple[Finding, ...] = ()
    """The first ones, at most FINDINGS_KEPT_MAX; ``totals.findings`` counts all."""
    notes: tuple[str, ...] = ()
    """What could not be compared, and why. Nothing is wrong with it as far as the log tells."""

    @property
    def ok(self) -> bool:
        return not self.totals.unaccounted and not self.totals.findings

    def to_data(self) -> dict[str, Any]:
        since = self.pending_since
        return {
            "cron": self.cron,
            **self.totals.to_data(),
            "pending_since": since.isoformat() if since else None,
            "unaccounted": [slot.isoformat() for slot in self.unaccounted],
            "unaccounted_more": self.totals.unaccounted - len(self.unaccounted),
            "findings": [finding.to_data() for finding in self.findings],
            "findings_more": self.totals.findings - len(self.findings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found, cron by cron."""

    at: datetime
    """When it was asked."""
    since: datetime | None = None
    until: datetime | None = None
    crons: tuple[CronAudit, ...] = ()
    findings: tuple[Finding, ...] = ()
    """About the streams that belong to no cron."""
    losses: tuple[Loss, ...] = ()
    """Whenever the log went back in that time. Nothing is wrong with the log that is left."""

    @property
    def ok(self) -> bool:
        """Whether every promised slot is decided once, rightly, and every run has come to an end."""
        return not self.findings and all(cron.ok for cron in self.crons)

    @property
    def totals(self) -> Totals:
        own = Totals(findings=len(self.findings))
        return sum((cron.totals for cron in self.crons), start=own)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "at": self.at.isoformat(),
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "totals": self.totals.to_data(),
            "crons": [cron.to_data() for cron in self.crons],
            "findings": [finding.to_data() for finding in self.findings],
            "losses": [loss.to_data() for loss in self.losses],
            "not_proved": list(NOT_PROVED),
        }


def missing_versions(stream: str, first: int, last: int) -> Finding:
    """Events that are gone from the middle of a stream."""
    which = f"version {first} is" if first == last else f"versions {first} to {last} are"
    return Finding(
        kind=Wrong.VERSION_GAP, stream=stream, text=f"{which} missing in {stream}", version=first
    )


def version_gap(
    stream: str, events: int, version: int, *, run_id: UUID | None = None
) -> Finding | None:
    """Versions have no gaps, so a stream has as many events as its last version says."""
    missing = version - events
    if not missing:
        return None
    return Finding(
        kind=Wrong.VERSION_GAP,
        stream=stream,
        text=f"{missing} event{'s' * (missing != 1)} of {stream} missing: its last version is "
        f"{version}, and it has {events}",
        run_id=run_id,
    )


def notes_text(by_log: Mapping[Promise, int], by_rules: Mapping[str, int]) -> tuple[str, ...]:
    """A sentence for each stretch that cannot be read today, and for each of other rules."""
    unreadable = [
        f"definition version {stretch.definition_version} cannot be read today "
        f"({stretch.unreadable}): its {count} decided slots are counted as they are recorded"
        for stretch, count in by_log.items()
    ]
    others = [
        f"decided_under_other_rules: {count} decided slots are none, or are counted otherwise, by "
        f"the rules of today; they were found with {rules}"
        for rules, count in by_rules.items()
    ]
    return (*unreadable, *others)
