"""What people do: trigger, rerun, pause, resume. Each leaves an event with who and why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from .. import clock
from ..archive.reading import REQUESTS, archived_events_of_run
from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import Event, make
from ..core.events.keys import ARGS, KWARGS
from ..core.events.make import InCron, Trigger
from ..core.interventions.pauses import Pause
from ..errors import CronConfigError, UnknownCron, UnknownRun, check_instant
from ..execution.enqueuer import Enqueuer, RunRequest
from ..ledger import store
from ..ledger.cron_states import global_pauses, state_of
from ..ledger.lookup import find_run, stored_name, unknown_cron_text
from ..ledger.optimistic import append_optimistically
from ..models import CronEvent
from ..process.actor import actor_name
from .of_one_run import check_arguments, check_begin

__all__ = [
    "bounded_reason",
    "enqueue",
    "known_state",
    "pause",
    "pause_all",
    "rerun",
    "resume",
    "resume_all",
    "trigger",
]

log = logging.getLogger(__name__)

REDIS_SECONDS_MAX = 5.0
"""A Redis that hangs must not keep somebody waiting: the leading runner enqueues what it did not take."""


def trigger(
    name: str,
    *,
    at: datetime | None = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    reason: str = "",
    by: str | None = None,
) -> UUID:
    """Ask for a run of a cron now, beside its schedule; returns the run's id.

    ``at``: begin then instead, a year ahead at most; the leading runner enqueues it within some
    seconds. ``args``, ``kwargs``: JSON, for this run in place of the cron's own. They stand in the log.

    Inside ``transaction.atomic`` the job is enqueued when the transaction commits. If Redis is
    away the run stays open, and the leading runner enqueues it later. Raises UnknownCron, and
    CronConfigError for a time that is naive or past, or arguments that the function does not take.
    """
    if at is not None:
        check_begin(at)
        at = at.astimezone(UTC)
    check_arguments(name, args, kwargs)
    return _request(
        name, trigger="manual", reason=reason, by=by, not_before=at, args=args, kwargs=kwargs
    )


def rerun(run_id: UUID | str, *, reason: str = "", by: str | None = None) -> UUID:
    """Ask for a new run like an earlier one, for the same slot; returns the new run's id.

    Raises UnknownRun.
    """
    asked = find_run(run_id)
    row = CronEvent.objects.using(conf().database).for_run(asked).of_type(*REQUESTS).first()
    origin = row.to_event() if row is not None else None
    if origin is None:
        old = archived_events_of_run(asked)
        origin = next((event for event in old if event.type in REQUESTS), None)
    if origin is None:
        raise UnknownRun(
            f"Run {run_id} is not known. cron_history NAME lists the runs of a cron with their ids."
        )
    return _request(
        origin.cron,
        trigger="rerun",
        reason=reason,
        by=by,
        of=asked,
        slot=origin.scheduled_for,
        args=origin.data.get(ARGS),
        kwargs=origin.data.get(KWARGS),
    )


def pause(
    name: str, *, reason: str = "", until: datetime | None = None, by: str | None = None
) -> Pause | None:
    """Stop deciding slots of a cron as fired, from now until ``until`` or until it is resumed.

    Slots in between are recorded as skipped. Returns the pause that was in force and that this one
    ends, if there was one. Raises UnknownCron, and CronConfigError for a time that is naive or past.
    """
    _check_until(until)
    why = bounded_reason(reason)
    before = known_state(name).current
    _append_to_cron(
        name,
        by,
        lambda place, effective_from: make.cron_paused(
            until=until, effective_from=effective_from, reason=why, **place
        ),
    )
    return _in_force(before.pause if before and before.definition else None)


def resume(name: str, *, reason: str = "", by: str | None = None) -> bool:
    """End the pause of a cron; False when it was not paused. Raises UnknownCron."""
    state = known_state(name)
    phase = state.current
    if phase is None or phase.pause is None or not _lasts(phase.pause.until):
        return False
    why = bounded_reason(reason)
    _append_to_cron(
        name,
        by,
        lambda place, effective_from: make.cron_resumed(
            effective_from=effective_from, reason=why, **place
        ),
    )
    return True


def pause_all(
    *, reason: str = "", until: datetime | None = None, by: str | None = None
) -> Pause | None:
    """Pause every cron, new ones included; returns the pause of everything that this one ends."""
    _check_until(until)
    pauses = global_pauses().pauses
    event = make.all_paused(
        until=until, reason=bounded_reason(reason), actor=actor_name(by), at=clock.now()
    )
    store.append_next([event])
    return _in_force(pauses[-1] if pauses else None)


def resume_all(*, reason: str = "", by: str | None = None) -> bool:
    """End the pause of everything; False when there was none. Single pauses stay."""
    pauses = global_pauses()
    if not pauses.pauses or not _lasts(pauses.pauses[-1].until):
        return False
    event = make.all_resumed(reason=bounded_reason(reason), actor=actor_name(by), at=clock.now())
    store.append_next([event])
    return True


def known_state(name: str) -> CronState:
    """The state of a registered or retired cron, by any of its names. Raises UnknownCron with the
    nearest names."""
    state = state_of(stored_name(name))
    if not state.phases:
        raise UnknownCron(unknown_cron_text(name))
    return state


def _request(
    name: str,
    *,
    trigger: Trigger,
    reason: str,
    by: str | None,
    of: UUID | None = None,
    slot: datetime | None = None,
    not_before: datetime | None = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> UUID:
    state = known_state(name)
    definition = state.definition
    if definition is None:
        raise CronConfigError(
            f"Cron {name!r} is retired: no deployed code has it. Deploy it again first."
        )
    run_id = uuid4()
    why = bounded_reason(reason)
    _append_to_cron(
        name,
        by,
        lambda place, _: make.run_requested(
            run_id=run_id,
            slot=slot,
            trigger=trigger,
            of=of,
            reason=why,
            not_before=not_before,
            args=args,
            kwargs=kwargs,
            **place,
        ),
    )
    if not_before is not None:
        return run_id  # the leading runner enqueues it
    request = RunRequest(
        run_id=run_id,
        definition=definition,
        slot=slot,
        trigger=trigger,
        args=args,
        kwargs=kwargs,
    )
    transaction.on_commit(lambda: enqueue([request], actor_name(by)), using=conf().database)
    return run_id


def enqueue(requests: Sequence[RunRequest], actor: str) -> list[str]:
    """Hand requests that are committed to RQ; those that it does not take stay open.

    Returns one sentence for each cron of which RQ takes no job; that is logged, too.
    """
    enqueuer = Enqueuer(REDIS_SECONDS_MAX)
    for results in enqueuer.enqueue(requests):
        store.append_next([result.event(actor) for result in results])
        for result in results:
            if result.is_outage:
                log.warning(
                    "Redis does not take run %s of %s (%s). It stays open; the leading runner "
                    "enqueues it when Redis is back.",
                    result.request.run_id,
                    result.request.cron,
                    result.error,
                    extra={"action": "redis_away", "run_id": str(result.request.run_id)},
                )
    return enqueuer.refused


def _append_to_cron(name: str, by: str | None, event: Callable[[InCron, datetime], Event]) -> None:
    """Append what ``event`` makes of its place in the stream, and of when a change takes effect."""
    actor = actor_name(by)

    def build(state: CronState) -> list[Event]:
        now = clock.now()
        # Later than now where a clock went back, so that no decided slot is judged again.
        last = [state.phases[-1].start, *([state.watermark] if state.watermark else [])]
        place = InCron(cron=state.name, version=state.version + 1, actor=actor, at=now)
        return [event(place, max([now, *last]))]

    append_optimistically(lambda: known_state(name), build)


def _check_until(until: datetime | None) -> None:
    if until is None:
        return
    check_instant("until", until)
    if not _lasts(until):
        raise CronConfigError(f"until={until.isoformat()} is in the past. Give a later time.")


def _in_force(pause: Pause | None) -> Pause | None:
    return pause if pause is not None and _lasts(pause.until) else None


def _lasts(until: datetime | None) -> bool:
    return until is None or until > clock.now()


def bounded_reason(reason: str) -> str:
    """As given, as far as a database can store it: lone surrogates become question marks."""
    return reason.replace("\0", "")[:2000].encode(errors="replace").decode()
