"""What will happen, said before it does: by the same state that the action itself reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from rqcron_events.core.cron_state import CronState
from rqcron_events.core.definition import Overlap
from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.schedule import slots_between
from rqcron_events.core.wording import Show, disabled_words, pause_words, shower, shower_in
from rqcron_events.ledger.cron_states import global_pauses
from rqcron_events.operations.controls import known_state
from rqcron_events.queries.explain import explain_run

from ..frame.frame import Frame
from ..frame.permissions import Action
from .asked import Asked

__all__ = ["Foretold", "foretold"]

SLOTS_TOLD_MAX = 3
SLOTS_COUNTED_MAX = 1_000
CRONS_TOLD_MAX = 20
AHEAD = timedelta(days=400)
"""How far the next slots are looked for."""


class Foretold(list[str]):
    """Sentences, and whether there is anything to do."""

    nothing_to_do = False


def foretold(frame: Frame, action: Action, asked: Asked) -> Foretold:
    """Raises UnknownCron, UnknownRun and UnreadableEvent."""
    found = Foretold()
    if asked.run is not None:
        found += _rerun(asked.run)
        return found
    if asked.everything:
        found += _everything(frame, action, asked)
        found.nothing_to_do = action is Action.RESUME and _pause_of_all(frame) is None
        return found
    states = [known_state(name) for name in asked.names]
    told = {Action.PAUSE: _paused, Action.RESUME: _resumed, Action.TRIGGER: _triggered}[action]
    for state in states[:CRONS_TOLD_MAX]:
        found += told(frame, state, asked)
    if len(states) > CRONS_TOLD_MAX:
        found.append(f"The same for {len(states) - CRONS_TOLD_MAX} more crons.")
    if action is Action.RESUME:
        found.nothing_to_do = all(_own_pause(frame, state) is None for state in states)
    return found


def _paused(frame: Frame, state: CronState, asked: Asked) -> Iterator[str]:
    show = shower(state.last_definition)
    until = f"until {show(asked.until)}" if asked.until else "until somebody resumes it"
    yield (
        f"Slots of {state.present_name} are skipped from now on, {until}. Each is recorded with your name "
        "and the reason. Runs that are queued already still execute."
    )
    yield from _next_slots(frame, state, asked.until, show)
    pause = _own_pause(frame, state)
    if pause is not None:
        yield f"{state.present_name} is {pause_words(pause, show)}; that pause is replaced."


def _resumed(frame: Frame, state: CronState, asked: Asked) -> Iterator[str]:
    show = shower(state.last_definition)
    pause = _own_pause(frame, state)
    if pause is None:
        yield f"{state.present_name} is not paused: there is nothing to resume."
    else:
        yield (
            f"{state.present_name} is {pause_words(pause, show)}. That ends: slots that come due from now "
            "on fire again. Those that were skipped meanwhile do not run by themselves; a backfill runs "
            "them."
        )
        yield from _next_slots(frame, state, None, show)
    everything = _pause_of_all(frame)
    if everything is not None:
        yield f"All crons are {pause_words(everything, show)}: until that ends, {state.present_name} is skipped."


def _triggered(frame: Frame, state: CronState, asked: Asked) -> Iterator[str]:
    definition = state.definition
    if definition is None:
        yield f"{state.present_name} is retired: no deployed code has it, so it cannot run."
        return
    yield (
        f"One run of {state.present_name} is asked for now, in queue {definition.queue}, beside its "
        "schedule, which does not change. It starts even if the cron is paused or another run is active."
    )
    if definition.overlap is not Overlap.ALLOW:
        what = "are skipped" if definition.overlap is Overlap.SKIP else "wait"
        yield f"While it is active, slots that come due {what} (overlap {definition.overlap})."
    disabled = state.current.disabled if state.current else None
    if disabled is not None:
        why = disabled_words(disabled.reason, disabled.since, shower(definition))
        yield f"{state.present_name} is {why}; this run is made all the same."


def _rerun(run: UUID) -> Iterator[str]:
    answer = explain_run(run)
    status = answer.run.status if answer.run else "unknown"
    slot = f" for its slot {shower(answer.definition)(answer.slot)}" if answer.slot else ""
    yield (
        f"A new run of {answer.cron}{slot} is asked for, like run {str(run)[:8]} ({status}). It executes the code "
        "that is deployed now, in the queue that the cron has now. The old run stays as it is."
    )
    if answer.run is not None and answer.run.finished_at is None:
        yield f"Run {str(run)[:8]} has not ended: both may be active at the same time."


def _everything(frame: Frame, action: Action, asked: Asked) -> Iterator[str]:
    show = shower_in(frame.zones.of())
    pause = _pause_of_all(frame)
    if action is Action.PAUSE:
        until = f"until {show(asked.until)}" if asked.until else "until somebody resumes them"
        yield (
            f"Slots of every cron are skipped from now on, {until}, those of new crons included. Runs that "
            "are queued already still execute."
        )
        if pause is not None:
            yield f"All crons are {pause_words(pause, show)}; that pause is replaced."
    elif pause is None:
        yield "There is no pause of all crons: there is nothing to resume. Crons that are paused singly stay so."
    else:
        yield (
            f"All crons are {pause_words(pause, show)}. That ends. Crons that are paused singly stay "
            "paused."
        )


def _next_slots(
    frame: Frame, state: CronState, until: datetime | None, show: Show
) -> Iterator[str]:
    if state.definition is None:
        return
    try:
        slots = slots_between(
            state.definition.schedule, frame.now, until or frame.now + AHEAD, SLOTS_COUNTED_MAX
        )
        first = list(islice(slots, SLOTS_TOLD_MAX))
        rest = sum(1 for _ in slots) if until else 0
    except ValueError:  # a definition that cannot be read today: it is not decided at all
        yield f"The next slots of {state.present_name} cannot be told: its definition cannot be read."
        return
    if not first:
        yield f"{state.present_name} has no slot {'until then' if until else 'to come'}."
        return
    times = ", ".join(map(show, first))
    if until is None:
        yield f"Its next slots: {times}."
        return
    count = len(first) + rest
    more = " or more" if count >= SLOTS_COUNTED_MAX else ""
    yield f"That is about {count:,}{more} slot{'s' * (count != 1)}: {times}{' and so on' if rest else ''}."


def _own_pause(frame: Frame, state: CronState) -> Pause | None:
    pause = state.current.pause if state.current and state.definition else None
    return pause if pause is not None and pause.is_in_force(frame.now) else None


def _pause_of_all(frame: Frame) -> Pause | None:
    return global_pauses().in_force(frame.now)
