"""Runs for past slots, asked for by a person: planned, made a few at a time, waited for.

Nothing is kept but events, so a backfill that is stopped at any point goes on when it is asked for
again: which slots are left follows from the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Max

from .. import clock
from ..archive.reading import log_since
from ..core.backfill import Attempt, BackfillSlot, PastSlot, SlotState, judge, past_slots
from ..core.cron_state import CronState
from ..core.definition import Definition, Overlap
from ..core.events import Event, EventType, cron_stream, keys, make
from ..core.wording import clause, empty_range_text
from ..errors import CronConfigError, LedgerUnavailable, check_instant
from ..execution.enqueuer import RunRequest
from ..ledger import store
from ..ledger.optimistic import append_optimistically
from ..models import CronEvent, CronEventQuerySet
from ..process.actor import actor_name
from .controls import bounded_reason, enqueue, known_state

__all__ = [
    "SLOTS_MAX",
    "BackfillPlan",
    "BackfillRun",
    "backfill",
    "check_parallel",
    "plan_backfill",
    "request_batch",
    "run_plan",
]

SLOTS_MAX = 10_000
"""Of one call, so that a typing error in a date does not fill the queues."""
PARALLEL_MAX = 500
IDS_PER_QUERY_MAX = 500
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.05, 1.0
QUIET_SECONDS_MAX = 3_600
"""How long nothing may happen to any of its runs; longer when the cron's timeout is."""
SILENT_SECONDS_MAX = 30.0
"""When nothing has happened for so long, somebody wants to know what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """What a backfill will do, as of now."""

    cron: str
    definition: Definition
    """Of today: it says in which queue, with which timeout and retries the runs are made."""
    label: str
    slots: list[BackfillSlot]

    def of_state(self, state: SlotState) -> list[BackfillSlot]:
        return [item for item in self.slots if item.state is state]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRun:
    """How one slot went."""

    slot: datetime
    run_id: UUID
    outcome: EventType


def plan_backfill(
    name: str, start: datetime, end: datetime | None = None, *, again: str = ""
) -> BackfillPlan:
    """The slots of a cron with ``start <= slot < end`` (default: now), and what to do about each.

    ``again`` is a label: each slot runs once more under it, those that succeeded too. Raises
    UnknownCron, and CronConfigError for a range that is naive, empty, too long or in the future.
    """
    state = known_state(name)
    now = clock.now()
    until = now if end is None else end
    _check_range(start, until, now)
    if state.definition is None:
        raise CronConfigError(
            f"Cron {name!r} is retired: no deployed code has it. Deploy it again first."
        )
    try:
        found = past_slots(state, start, until, SLOTS_MAX + 1)
    except ValueError as error:
        raise CronConfigError(
            f"Cron {name!r}: the slots from {start.isoformat()} to {until.isoformat()} cannot be "
            f"computed, because a definition that was in force then cannot be read today: "
            f"{clause(error)}. Choose another range, or bring back what is missing."
        ) from error
    if len(found) > SLOTS_MAX:
        raise CronConfigError(
            f"Cron {name!r} has more than {SLOTS_MAX:,} slots from {start.isoformat()} to "
            f"{until.isoformat()}. Split it; end the first part with "
            f"--to {found[SLOTS_MAX].slot.isoformat()}."
        )
    return BackfillPlan(
        cron=state.name,
        definition=state.definition,
        label=again,
        slots=_judged(state, found, again),
    )


def backfill(
    name: str,
    start: datetime,
    end: datetime | None = None,
    *,
    max_parallel: int = 1,
    again: str = "",
    reason: str = "",
    by: str | None = None,
    quiet_seconds_max: float | None = None,
    report: Callable[[BackfillRun], None] | None = None,
) -> list[BackfillRun]:
    """Run a cron for its past slots, oldest first, and wait until all have ended.

    At most ``max_parallel`` of its runs are open at a time. Slots with a run that succeeded are
    left out, unless ``again`` gives the repetition a label. Asked for again, it goes on where it
    was stopped, and tries again what failed. ``report`` is called with each run that ends.

    Raises what ``plan_backfill`` does, CronConfigError for a wrong number or inside a transaction,
    and LedgerUnavailable when nothing happens to its runs for ``quiet_seconds_max``
    (default: an hour, or twice the cron's timeout).
    """
    plan = plan_backfill(name, start, end, again=again)
    return run_plan(
        plan,
        max_parallel=max_parallel,
        reason=reason,
        by=by,
        quiet_seconds_max=quiet_seconds_max,
        report=report,
    )


def run_plan(
    plan: BackfillPlan,
    *,
    max_parallel: int = 1,
    reason: str = "",
    by: str | None = None,
    quiet_seconds_max: float | None = None,
    report: Callable[[BackfillRun], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> list[BackfillRun]:
    """What ``backfill`` does, for a plan that somebody has looked at.

    ``say`` is told once, in words, what it waits for, when nothing has happened for 30 seconds,
    and of runs that RQ does not take.
    """
    check_parallel(plan, max_parallel)
    _check_quiet(quiet_seconds_max)
    waiting = [item for item in plan.slots if item.state is SlotState.TO_RUN][::-1]
    resumed = plan.of_state(SlotState.OPEN)
    _enqueue_again(plan, resumed, actor_name(by))
    active = {item.run_id: item for item in resumed if item.run_id is not None}
    watch = _Watch(_quiet_seconds(plan.definition, quiet_seconds_max), say)
    ended: list[BackfillRun] = []
    while waiting or active:
        batch = [waiting.pop() for _ in range(min(len(waiting), max_parallel - len(active)))]
        if batch:
            refused = request_batch(plan, batch, reason, by)
            if refused and say is not None:
                say(" ".join(refused))
            active |= {item.run_id: item for item in batch if item.run_id is not None}
        over = _outcomes(active)
        for run_id, outcome in over.items():
            run = BackfillRun(slot=active.pop(run_id).slot, run_id=run_id, outcome=outcome)
            ended.append(run)
            if report is not None:
                report(run)
        if not over:
            watch.wait(plan, active)
    return ended


class _Watch:
    """Waits between two looks, longer and longer, and gives up when nothing happens at all."""

    def __init__(self, quiet_seconds_max: float, say: Callable[[str], None] | None) -> None:
        self._quiet_seconds_max = quiet_seconds_max
        self._say = say
        self._pause = POLL_SECONDS_MIN
        self._seen: int | None = None
        self._since = clock.monotonic_seconds()
        self._since_at = clock.now()

    def wait(self, plan: BackfillPlan, active: Collection[UUID]) -> None:
        newest = _newest_event(active)
        if newest != self._seen:
            self._seen, self._since = newest, clock.monotonic_seconds()
            self._since_at = clock.now()
            self._pause = POLL_SECONDS_MIN
        elif clock.monotonic_seconds() - self._since > self._quiet_seconds_max:
            raise LedgerUnavailable(
                f"Nothing has happened to the runs of {plan.definition.present_name!r} for "
                f"{self._quiet_seconds_max:.0f} s. Is a worker alive on queue "
                f"{plan.definition.queue!r}, and does it get through? What is open stays so; the "
                "same backfill goes on."
            )
        elif self._say and clock.monotonic_seconds() - self._since > SILENT_SECONDS_MAX:
            self._say(_waiting_text(plan, active, self._since_at))
            self._say = None  # once is enough
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.3, POLL_SECONDS_MAX)


def _waiting_text(plan: BackfillPlan, active: Collection[UUID], since: datetime) -> str:
    begun = _rows().filter(run_id__in=list(active), type=EventType.RUN_STARTED).order_by()
    running = begun.values("run_id").distinct().count()
    return (
        f"Waiting for {len(active)} run{'s' * (len(active) != 1)} of {plan.definition.present_name!r}: {running} "
        f"running, {len(active) - running} in queue {plan.definition.queue!r}, and nothing has "
        f"happened to them since {since:%Y-%m-%d %H:%M:%S} UTC. Is a worker alive on that queue? "
        "Ctrl-C stops waiting; the same command continues."
    )


def _judged(state: CronState, found: Sequence[PastSlot], label: str) -> list[BackfillSlot]:
    if not found:
        return []
    with log_since(state.name, found[0].slot):
        attempts = _attempts(state.name, found[0].slot, found[-1].slot, label)
    return [
        judge(state.name, past, attempts.get(past.slot, []), state.watermark, label)
        for past in found
    ]


def _attempts(
    name: str, first: datetime, last: datetime, label: str
) -> dict[datetime, list[Attempt]]:
    """Every run for the slots in that range, in the order in which they were asked for."""
    rows = _rows().for_cron(name).filter(scheduled_for__gte=first, scheduled_for__lte=last)
    asked = [
        event
        for kind in (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)  # each has its index
        for event in rows.of_type(kind).events()
    ]
    outcomes = _outcomes(event.run_id for event in asked)
    found: dict[datetime, list[Attempt]] = {}
    for event in asked:
        assert event.run_id is not None
        assert event.scheduled_for is not None
        by_backfill = event.data.get(keys.TRIGGER) == "backfill"
        ours = by_backfill and event.data.get(keys.LABEL, "") == label
        attempt = Attempt(run_id=event.run_id, ours=ours, outcome=outcomes.get(event.run_id))
        found.setdefault(event.scheduled_for, []).append(attempt)
    return found


class _Unrequested(NamedTuple):
    """Which slots of a batch nobody has asked for yet."""

    head: int
    """Version of the cron's stream."""
    slots: list[BackfillSlot]


def request_batch(
    plan: BackfillPlan, batch: Sequence[BackfillSlot], reason: str, by: str | None
) -> list[str]:
    """Append the requests, then hand them to RQ. Killed in between, the reconciler does that.

    Returns what to say of those that RQ does not take.
    """
    actor, why = actor_name(by), bounded_reason(reason)
    unrequested, _ = append_optimistically(
        lambda: _unrequested(plan, batch),
        lambda known: [
            _requested(plan, item, version, why, actor)
            for version, item in enumerate(known.slots, start=known.head + 1)
        ],
    )
    return enqueue([_run_request(plan, item) for item in unrequested.slots], actor)


def _unrequested(plan: BackfillPlan, batch: Sequence[BackfillSlot]) -> _Unrequested:
    # The head first: if somebody else asks for the same run meanwhile, the append is refused.
    stream = cron_stream(plan.cron)
    head = _rows().filter(stream=stream).aggregate(head=Max("version"))["head"]
    there = set(
        _rows()
        .filter(run_id__in=[item.run_id for item in batch], type=EventType.RUN_REQUESTED)
        .values_list("run_id", flat=True)
    )
    return _Unrequested(head, [item for item in batch if item.run_id not in there])


def _requested(
    plan: BackfillPlan, item: BackfillSlot, version: int, reason: str, actor: str
) -> Event:
    assert item.run_id is not None
    return make.run_requested(
        cron=plan.cron,
        version=version,
        run_id=item.run_id,
        slot=item.slot,
        trigger="backfill",
        definition_version=item.past.definition_version,
        label=plan.label,
        reason=reason,
        actor=actor,
        at=clock.now(),
    )


def _enqueue_again(plan: BackfillPlan, resumed: Sequence[BackfillSlot], actor: str) -> None:
    """Runs that were asked for and never reached RQ, as far as the log tells; the id stays, so a
    job that is there after all does not run twice."""
    for start in range(0, len(resumed), IDS_PER_QUERY_MAX):
        chunk = resumed[start : start + IDS_PER_QUERY_MAX]
        known = _rows().filter(run_id__in=[item.run_id for item in chunk])
        begun = set(known.exclude(type=EventType.RUN_REQUESTED).values_list("run_id", flat=True))
        enqueue([_run_request(plan, item) for item in chunk if item.run_id not in begun], actor)


def _run_request(plan: BackfillPlan, item: BackfillSlot) -> RunRequest:
    assert item.run_id is not None
    return RunRequest(
        run_id=item.run_id, definition=plan.definition, slot=item.slot, trigger="backfill"
    )


def _outcomes(run_ids: Iterable[UUID | None]) -> dict[UUID, EventType]:
    wanted = list(run_ids)
    found: dict[UUID, EventType] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY_MAX):
        rows = _rows().filter(run_id__in=wanted[start : start + IDS_PER_QUERY_MAX]).outcomes()
        for run_id, kind in rows.values_list("run_id", "type"):
            assert run_id is not None
            found[run_id] = EventType(kind)
    return found


def _newest_event(run_ids: Iterable[UUID]) -> int:
    newest = _rows().filter(run_id__in=list(run_ids)).aggregate(newest=Max("id"))["newest"]
    return int(newest or 0)


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(store.connection().alias).order_by("id")


def _quiet_seconds(definition: Definition, given: float | None) -> float:
    if given is not None:
        return given
    return max(QUIET_SECONDS_MAX, 2 * float(definition.options.get("timeout") or 0))


def _check_quiet(seconds: float | None) -> None:
    if seconds is not None and not seconds > 0:  # NaN is not, either
        raise CronConfigError(
            f"quiet_seconds_max={seconds:g} is invalid: give more than 0 seconds, or leave it out."
        )


def _check_range(start: datetime, end: datetime, now: datetime) -> None:
    for key, instant in (("start", start), ("end", end)):
        check_instant(key, instant)
    if end > now:
        raise CronConfigError(
            f"A backfill is for the past, and {end.isoformat()} is in the future. End it at "
            f"{now.isoformat(timespec='seconds')} or before."
        )
    if start >= end:
        raise CronConfigError(empty_range_text(start, end, "start", "end"))


def check_parallel(plan: BackfillPlan, max_parallel: int) -> None:
    """Raises CronConfigError where so many runs of the plan may not be open at a time."""
    if not 1 <= max_parallel <= PARALLEL_MAX:
        raise CronConfigError(
            f"max_parallel={max_parallel} is invalid: give 1 to {PARALLEL_MAX:,}."
        )
    if max_parallel > 1 and plan.definition.overlap is not Overlap.ALLOW:
        raise CronConfigError(
            f"Cron {plan.definition.present_name!r} has overlap={plan.definition.overlap.value!r}, so its runs "
            f"must not overlap; max_parallel={max_parallel} would let them. Leave it at 1."
        )
    if store.connection().in_atomic_block:
        raise CronConfigError(
            "A backfill waits for workers, which cannot see an open transaction. Call it outside "
            "transaction.atomic."
        )
