"""A backfill: first what it would run, then step by step while its page is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, QueryDict

from rqcron_events.cli.times import parse_instant, require_range
from rqcron_events.core.backfill import BackfillSlot
from rqcron_events.core.codec import NewerEvent
from rqcron_events.errors import CronConfigError, CronError
from rqcron_events.ledger.lookup import stored_name
from rqcron_events.operations.backfill import BackfillPlan, check_parallel, plan_backfill
from rqcron_events.operations.backfill_step import (
    SlotProgress,
    backfill_step,
    count_slots,
    progress_of,
)

from ..frame.frame import Frame
from ..frame.links import parse_instant as instant_of
from ..story.called import Called, called
from .plain import actor_of

__all__ = ["backfill_page"]

SLOTS_MAX = 1_000
"""Of one backfill from a page; the command takes more."""
SLOTS_SHOWN_MAX = 200
LABEL_CHARACTERS_MAX = 100
REFRESH_SECONDS = 5
"""Of a page without JavaScript, while runs are open."""
WORDS = {
    SlotProgress.WAITING: "to run",
    SlotProgress.OPEN: "in progress",
    SlotProgress.DONE: "left out: a run succeeded",
    SlotProgress.NOT_SUCCEEDED: "did not succeed",
    SlotProgress.ACTIVE: "left out: another run has not ended",
    SlotProgress.UNDECIDED: "left to the runner, which has not decided it yet",
}
ENDED_WELL = "succeeded"
"""Of a slot that is done, once the backfill has begun."""
_WITH_RUN = frozenset({SlotProgress.OPEN, SlotProgress.DONE, SlotProgress.ACTIVE})


@dataclass(slots=True, kw_only=True)
class Backfill:
    """The values of the form."""

    cron: Called | None = None
    start_text: str = ""
    end_text: str = "now"
    start: datetime | None = None
    end: datetime | None = None
    again: str = ""
    parallel: int = 1
    reason: str = ""
    through: datetime | None = None
    """The last slot that was asked for from this page."""
    is_begun: bool = False
    problems: list[str] = field(default_factory=list)
    plan: BackfillPlan | None = None

    def parameters(self) -> str:
        """Of the address at which its progress can be seen."""
        values = {
            "cron": self.cron.stored_name if self.cron else "",
            "from": _iso(self.start),
            "to": _iso(self.end),
            "again": self.again,
            "parallel": str(self.parallel),
            "reason": self.reason,
            "through": _iso(self.through),
            "begun": "1" if self.is_begun else "",
        }
        return urlencode({name: value for name, value in values.items() if value})


def backfill_page(frame: Frame) -> HttpResponse:
    is_post = frame.request.method == "POST"
    wanted = _read(frame, frame.request.POST if is_post else frame.request.GET)
    if wanted.cron is not None and wanted.start is not None and not wanted.problems:
        try:
            _plan(wanted)
            if is_post and wanted.plan is not None:
                return _step(frame, wanted, wanted.plan)
        except (CronError, NewerEvent) as error:
            wanted.problems.append(str(error))
    name = wanted.cron.name if wanted.cron else "no cron"
    return frame.render(
        "rqcron/backfill.html",
        {"wanted": wanted, **_context(frame, wanted)},
        title=f"Backfill: {name}",
        status=400 if is_post and wanted.problems else 200,
    )


def _plan(wanted: Backfill) -> None:
    assert wanted.cron is not None
    assert wanted.start is not None
    plan = plan_backfill(wanted.cron.stored_name, wanted.start, wanted.end, again=wanted.again)
    if len(plan.slots) > SLOTS_MAX:
        raise CronConfigError(
            f"That are {len(plan.slots):,} slots; a page takes {SLOTS_MAX:,}. Choose a shorter range, or use "
            "cron_backfill."
        )
    check_parallel(plan, wanted.parallel)
    wanted.plan = plan


def _step(frame: Frame, wanted: Backfill, plan: BackfillPlan) -> HttpResponse:
    """Ask for the next runs, and show how it goes at an address of its own."""
    step = backfill_step(
        plan,
        through=wanted.through,
        max_parallel=wanted.parallel,
        reason=wanted.reason,
        by=actor_of(frame.request.user),
    )
    wanted.through, wanted.is_begun = step.through, True
    for text in step.refused:
        messages.warning(frame.request, text)
    return HttpResponseRedirect(f"{frame.url('action', 'backfill')}?{wanted.parameters()}")


def _context(frame: Frame, wanted: Backfill) -> dict[str, Any]:
    plan = wanted.plan
    if plan is None:
        return {}
    counts = count_slots(plan.slots, wanted.through)
    asked_for = max(
        min(wanted.parallel - counts[SlotProgress.OPEN], counts[SlotProgress.WAITING]), 0
    )
    ended = counts[SlotProgress.DONE] + counts[SlotProgress.NOT_SUCCEEDED]
    return {
        "plan": plan,
        "counts": [(_words(state, wanted), counts[state]) for state in WORDS if counts[state]],
        "total": len(plan.slots),
        "early": sum(item.past.before_registration for item in plan.slots),
        "waiting": counts[SlotProgress.WAITING],
        "open": counts[SlotProgress.OPEN],
        "ended": ended,
        "to_come": ended + counts[SlotProgress.OPEN] + counts[SlotProgress.WAITING],
        "next": asked_for,
        "is_over": wanted.is_begun
        and not counts[SlotProgress.WAITING]
        and not counts[SlotProgress.OPEN],
        "slots": [_slot(item, wanted) for item in plan.slots[:SLOTS_SHOWN_MAX]],
        "hidden": max(len(plan.slots) - SLOTS_SHOWN_MAX, 0),
        "refresh_seconds": REFRESH_SECONDS,
        "hold": frame.request.GET.get("hold") == "1",
        "address": wanted.parameters(),
        "through": _iso(wanted.through),
        "start": _iso(wanted.start),
        "end": _iso(wanted.end),
    }


def _words(state: SlotProgress, wanted: Backfill) -> str:
    return ENDED_WELL if wanted.is_begun and state is SlotProgress.DONE else WORDS[state]


def _slot(item: BackfillSlot, wanted: Backfill) -> dict[str, Any]:
    state = progress_of(item, wanted.through)
    # What is still to run, or failed, has the id of a run that nobody has asked for.
    run_id = item.run_id if state in _WITH_RUN else None
    return {
        "slot": item.slot,
        "words": _words(state, wanted),
        "run_id": run_id,
        "is_early": item.past.before_registration,
    }


def _read(frame: Frame, given: QueryDict) -> Backfill:
    found = Backfill(
        start_text=given.get("from", "").strip(),
        end_text=given.get("to", "").strip() or "now",
        again=given.get("again", "").strip()[:LABEL_CHARACTERS_MAX],
        reason=given.get("reason", "").strip(),
        through=instant_of(given.get("through", "")),
        is_begun=given.get("begun") == "1",
    )
    name = stored_name(given.get("cron", "").replace("\0", ""))
    if not name:
        found.problems.append("No cron is chosen. Choose one in the overview.")
        return found
    found.cron = called(frame.alias, [name])[name]
    parallel = given.get("parallel", "").strip() or "1"
    if parallel.isascii() and parallel.isdigit() and len(parallel) < 5:
        found.parallel = int(parallel)
    else:
        found.problems.append(f"Parallel {parallel!r} is not a number. Give 1 or more.")
    if not found.start_text:
        return found
    try:
        found.start = parse_instant(found.start_text, "From", cron=name)
        found.end = parse_instant(found.end_text, "To", cron=name, after=found.start)
        require_range(found.start, found.end, "From", "To", cron=name)
    except CronConfigError as error:
        found.problems.append(str(error))
    return found


def _iso(value: datetime | None) -> str:
    return value.astimezone(UTC).isoformat() if value else ""
