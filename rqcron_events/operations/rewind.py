"""The way back for a cron whose slots were decided by a clock that was ahead."""

from __future__ import annotations

from datetime import datetime

from ..archive.reading import log_since
from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import Event, EventType, make
from ..core.interventions.rewind import kept_stretches
from ..core.schedule import Schedule
from ..errors import CronConfigError
from ..leadership.clock_skew import ClockSkew
from ..ledger.cron_states import states_without_runs
from ..ledger.optimistic import append_optimistically
from ..models import CronEvent
from ..process.actor import actor_name
from .controls import bounded_reason, known_state

__all__ = ["rewind", "rewind_all"]

FIRED_MAX = 20_000
"""Slots that fired ahead of their time and fit into one event."""


def rewind(name: str, *, reason: str = "", by: str | None = None) -> datetime:
    """Let a cron's slots be decided again from now on; returns up to where they had been.

    For a cron that is silent because a clock was ahead. What fired then has run, and is not decided
    again when its slot comes; everything else is decided at its time. "Now" is by the database's
    clock. Raises UnknownCron, and CronConfigError when nothing is decided about the future.
    """
    actor, why = actor_name(by), bounded_reason(reason)
    skew = ClockSkew()
    passed: list[datetime] = []

    def build(state: CronState) -> list[Event]:
        now = skew.database_now()
        watermark = state.watermark
        if watermark is None or watermark <= now:
            at = watermark.isoformat(" ", "seconds") if watermark else "nowhere"
            raise CronConfigError(
                f"Cron {name!r} is decided up to {at}, which is not in the future of the database's "
                "clock. There is nothing to take back."
            )
        passed[:] = [watermark]
        return [
            make.cron_rewound(
                cron=state.name,
                version=state.version + 1,
                effective_from=now,
                watermark=watermark,
                kept=kept_stretches(_fired_ahead(state.name, now), _schedule(state)),
                reason=why,
                actor=actor,
                at=now,
            )
        ]

    append_optimistically(lambda: known_state(name), build)
    return passed[0]


def rewind_all(*, reason: str = "", by: str | None = None) -> dict[str, datetime]:
    """The same for every cron that is decided up to the future, by name.

    Raises CronConfigError when there is none.
    """
    now = ClockSkew().database_now()
    states, _ = states_without_runs()
    ahead = [
        name
        for name, state in sorted(states.items())
        if state.watermark is not None and state.watermark > now
    ]
    if not ahead:
        raise CronConfigError(
            f"None of {len(states)} crons is decided up to the future of the database's clock. There "
            "is nothing to take back."
        )
    return {name: rewind(name, reason=reason, by=by) for name in ahead}


def _fired_ahead(name: str, now: datetime) -> list[datetime]:
    rows = CronEvent.objects.using(conf().database).filter(
        cron=name, type=EventType.SLOT_FIRED, scheduled_for__gt=now
    )
    slots = rows.order_by("scheduled_for").values_list("scheduled_for", flat=True)
    with log_since(name, now):
        found = [slot for slot in slots[: FIRED_MAX + 1] if slot is not None]
    if len(found) > FIRED_MAX:
        raise CronConfigError(
            f"More than {FIRED_MAX:,} slots of cron {name!r} fired ahead of their time, too many for "
            f"one event. Try again after {found[-FIRED_MAX].isoformat(' ', 'seconds')}, when fewer "
            "are left."
        )
    return found


def _schedule(state: CronState) -> Schedule | None:
    definition = state.definition
    return definition.schedule if definition else None
