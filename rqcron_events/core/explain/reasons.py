"""Why a slot was passed over or came late, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from ..downtime import Downtime, DowntimeCause
from ..events import Event, EventType, Reason
from ..wording import Show, because, duration

__all__ = ["Waited", "downtime_text", "resumed", "resumed_text", "waited_text", "why_not"]


class Waited(NamedTuple):
    """The run that a slot waited for (``overlap="queue"``)."""

    run_id: UUID
    until: datetime
    """When it ended."""


def why_not(decision: Event, slot: datetime, show: Show, instead: Event | None) -> str:
    """``instead`` is the decision about the later slot that ran in its place, where one did."""
    evidence = decision.data.get("evidence", {})
    text = _REASON_TEXTS.get(decision.reason, decision.reason)
    if decision.reason == Reason.OVERLAP and evidence.get("run_id"):
        since = evidence.get("started_at")
        state = (
            f"was running since {show(datetime.fromisoformat(since))} on {evidence.get('worker')}"
            if since
            else "had not ended"
        )
        of_slot = evidence.get("slot")
        of = f" for {show(datetime.fromisoformat(of_slot))}" if of_slot else ""
        text = f"run {evidence['run_id'][:8]}{of} {state}"
    elif decision.reason in (Reason.PAUSED, Reason.ALL_PAUSED):
        what = "it was" if decision.reason == Reason.PAUSED else "all crons were"
        until = evidence.get("until")
        text = (
            f"{what} paused by {evidence.get('actor') or 'somebody'} at "
            f"{show(datetime.fromisoformat(evidence['since']))}"
            f"{' until ' + show(datetime.fromisoformat(until)) if until else ''}"
            f"{because(evidence.get('reason', ''))}"
        )
    elif decision.reason == Reason.TOO_LATE:
        late = (decision.occurred_at - slot).total_seconds()
        bound = evidence.get("max_lateness_seconds")
        text = f"it was decided {duration(late)} late"
        if bound is not None:
            text += f", more than the {duration(bound)} that is allowed"
    elif decision.reason == Reason.SUPERSEDED and instead is not None:
        run = f", as run {str(instead.run_id)[:8]}" if instead.run_id else ""
        text = f"the later slot {show(instead.scheduled_for)} ran instead{run}"
    count = decision.data.get("count", 1)
    return f"{text} (one of {count} slots in a row)" if count > 1 else text


def resumed(decision: Event, slot: datetime, pauses: Sequence[Event]) -> list[Event]:
    """Who ended the pause that the decision is about, if somebody did; ``pauses`` are those of the
    cron and those of everything, with their ends."""
    kinds = _PAUSE_AND_END.get(decision.reason)
    if kinds is None:
        return []
    after = (event for event in pauses if event.occurred_at >= slot and event.type in kinds)
    return [event for event in islice(after, 1) if event.type is kinds[1]]


def resumed_text(event: Event, show: Show) -> str:
    what = "it" if event.type is EventType.CRON_RESUMED else "them"
    who = event.actor or "somebody"
    return f"; {who} resumed {what} at {show(event.occurred_at)}{because(event.reason)}"


def waited_text(waited: Waited | None, show: Show) -> str:
    if waited is None:
        return ""
    run = str(waited.run_id)[:8]
    return f"; it waited for run {run} to end, until {show(waited.until)} (overlap='queue')"


def downtime_text(downtime: Downtime | None, show: Show, before: str, after: str) -> str:
    if downtime is None:
        return ""
    since = f" from {show(downtime.since)}" if downtime.since else ""
    until = f" to {show(downtime.until)}" if downtime.until else " until now"
    match downtime.cause:
        case DowntimeCause.NO_RUNNER:
            what = "no runner was alive"
        case DowntimeCause.DATABASE_AWAY:
            what = "the database did not answer"
        case DowntimeCause.STALE_LEASE:
            what = f"the leading runner {downtime.runner} was silent"
    return f"{before}{what}{since}{until}{after}"


_PAUSE_AND_END: dict[str, tuple[EventType, EventType]] = {
    Reason.PAUSED: (EventType.CRON_PAUSED, EventType.CRON_RESUMED),
    Reason.ALL_PAUSED: (EventType.ALL_PAUSED, EventType.ALL_RESUMED),
}
_REASON_TEXTS: dict[str, str] = {
    Reason.SUPERSEDED: "a later slot of the same catch-up ran instead",
    Reason.RETIRED: "the cron left the code before any runner decided it",
    Reason.OVERLAP: "an earlier run had not ended",
    Reason.TOO_LATE: "it was decided too late",
}
