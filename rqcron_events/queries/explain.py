"""Loading the evidence for ``explain``: index look-ups only, however long the log is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from .. import clock
from ..archive.reach import (
    LATE_SECONDS,
    NEWEST_ARCHIVED,
    NEWEST_ARCHIVED_AT,
    ArchivedTo,
    explanation_reaches,
)
from ..archive.reading import REQUESTS, archived_events_of_run, rows_for_slot, whole_log
from ..conf import conf
from ..core.codec import Unreadable
from ..core.cron_state import CronState, why_not_foldable
from ..core.definition import Overlap, run_id_for_slot
from ..core.downtime import Downtime, DowntimeCause
from ..core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    LEDGER_STREAM,
    OUTCOMES,
    Event,
    EventType,
    Reason,
    cron_stream,
    keys,
    run_stream,
)
from ..core.explain.evidence import Evidence, Waited, is_promised, phase_at, why_unreadable
from ..core.explain.explanation import Explanation
from ..core.explain.requested import explain_requested
from ..core.explain.run import run_summary
from ..core.explain.slot import explain_slot, explain_unknown
from ..core.interventions.pauses import PAUSES_KEPT_MAX, GlobalPauses
from ..core.interventions.rewind import Rewind
from ..core.renames.names import renamed_at
from ..core.words.apart import without_run_texts
from ..errors import UnknownRun, check_instant
from ..leadership.downtime import downtime_at
from ..ledger import store
from ..ledger.cron_states import state_of
from ..ledger.lookup import find_run, stored_name
from ..ledger.reading import Readable, not_accepted, readable_rows
from ..models import CronEvent, CronEventQuerySet, put_back
from .code_in_force import unknown_cron_text
from .obstacles import obstacles_of_run, obstacles_of_slot

__all__ = ["explain", "explain_run"]

RUN_EVENTS_MAX = 200
"""Evidence is for people: a run with more events than this shows the first ones."""
OPEN_RUNS_LOOKED_AT_MAX = 20
REQUESTS_MAX = 50
"""Reruns and backfills of one slot that are shown."""
VERSION_MAX = 2**31 - 1


def explain(name: str, at: datetime | None = None, *, texts: bool = True) -> Explanation:
    """Why a cron did or did not fire at an instant.

    :param at: aware; default the cron's last slot. Raises CronConfigError when it is naive.
    :param texts: False leaves out what errors said, beside their types, and what runs returned.

    >>> explain("send_digest", datetime(2026, 3, 8, 13, 0, tzinfo=UTC)).verdict  # doctest: +SKIP
    <Verdict.FIRED: 'fired'>
    """
    now = clock.now()
    if at is not None:
        check_instant("at", at)
    state = state_of(stored_name(name))
    if not state.phases:
        return explain_unknown(name, at or now, unknown_cron_text(name))
    return _explain(state, at, now, asked=name, texts=texts)


def _explain(
    state: CronState, at: datetime | None, now: datetime, *, asked: str, texts: bool
) -> Explanation:
    slot = at if at is not None else _last_slot(state, now)
    found, archived = _evidence(state, slot, now)
    if explanation_reaches(found, archived):
        # Definitions and pauses stay in the log, so the state is right.
        with whole_log(rows_for_slot(state.name, slot, all_later=bool(state.rewound_version))):
            found, _ = _evidence(state, slot, now)
    if not texts:
        found = replace(found, run_events=_without_texts(found.run_events))
    answer = explain_slot(replace(found, obstacles=obstacles_of_slot(found)))
    return replace(answer, summary=answer.summary + _renamed(found, asked))


def _renamed(found: Evidence, asked: str) -> str:
    """A sentence where somebody asks by a former name, or about a time before the rename."""
    since = renamed_at(found.state)
    last = found.state.last_definition
    if last is None or since is None or (asked == found.name and found.at > since):
        return ""
    return f" It was called {last.renamed_from} until {found.show(since)}."


def explain_run(run_id: UUID | str, *, texts: bool = True) -> Explanation:
    """The story of one run, asked for by a slot or by a person. ``texts``: see ``explain``. Raises UnknownRun."""
    asked = find_run(run_id)
    events = _events_of_run(asked)
    if not any(event.type in REQUESTS for event in events):
        events = [*archived_events_of_run(asked)[:RUN_EVENTS_MAX], *events]
    if not events:
        raise UnknownRun(f"Run {asked} is not known. cron_history NAME lists the runs of a cron.")
    origin = events[0]
    state = state_of(origin.cron)
    if origin.type is EventType.SLOT_FIRED and origin.scheduled_for is not None:
        now, name = clock.now(), state.present_name
        return _explain(state, origin.scheduled_for, now, asked=name, texts=texts)
    if not texts:
        events = _without_texts(events)
    return explain_requested(
        asked, events, state, obstacles_of_run(state, run_summary(asked, events))
    )


def _without_texts(events: Iterable[Event]) -> list[Event]:
    return [replace(event, data=without_run_texts(event.data)) for event in events]


def _last_slot(state: CronState, now: datetime) -> datetime:
    """The newest slot that is decided or should be by now, or else the next one; of a retired cron
    this moment, which tells of its retirement."""
    if state.definition is None:
        return now
    phase = phase_at(state, now)
    if phase is not None and phase.definition is not None and not why_unreadable(phase.definition):
        due_until = now - timedelta(seconds=LATE_SECONDS)
        if state.watermark is not None:
            due_until = max(due_until, min(state.watermark, now))
        slot = phase.definition.schedule.prev_until(due_until)
        if slot is not None and slot > state.phases[0].start:
            return slot
        following = phase.definition.schedule.next_after(now)
        if following is not None:
            return following
    return state.watermark or now


def _evidence(state: CronState, at: datetime, now: datetime) -> tuple[Evidence, ArchivedTo]:
    """First what every verdict rests on, then what this one needs besides; and how far the log is archived."""
    all_pauses, unreadable = _all_pauses()
    definitions, archived = _definition_events(state.name)
    found = Evidence(
        state=state,
        at=at,
        now=now,
        decision=_decision(state, at),
        definition_events=definitions,
        all_pauses=all_pauses,
        unreadable_pauses=unreadable,
        requests=_requests(state.name, at),
    )
    if found.decision is not None:
        found = _decided(found, found.decision)
    elif found.is_unaccounted:
        found = replace(found, run_events=_events_of_run(run_id_for_slot(state.name, at)))
    elif found.is_overdue:
        found = _overdue(found)
    return found, archived


def _decided(found: Evidence, decision: Event) -> Evidence:
    downtime, runner_events = _downtime_of(found, decision)
    return replace(
        found,
        run_events=_events_behind(decision),
        instead=_instead(decision),
        waited=_waited(found, decision) if downtime is None else None,
        downtime=downtime,
        runner_events=runner_events,
    )


def _overdue(found: Evidence) -> Evidence:
    """A slot waits for its jitter, for a run, or for somebody to decide it."""
    if found.jitter_ahead is not None:
        return found
    waits_for = _open_run(found)
    if waits_for is not None:
        return replace(found, waits_for=waits_for)
    downtime, runner_events = downtime_at(found.at)
    return replace(found, downtime=downtime, runner_events=runner_events)


def _decision(state: CronState, instant: datetime) -> Event | None:
    """The decision that covers the instant.

    Decisions follow one another and carry the last slot they cover, so only the first one that
    ends at or after the instant can.
    """
    decisions = _rows().for_cron(state.name).filter(type__in=sorted(DECISIONS))
    if state.rewound_version:
        # What fired counts always. Of the rest, a rewind took back what lies behind its start.
        fired = _first_own(decisions.filter(type=EventType.SLOT_FIRED, scheduled_for=instant))
        if fired is not None:
            return fired.fact()
        decisions = decisions.filter(version__range=_versions_that_count(state.name, instant))
    row = _first_own(decisions.filter(scheduled_for__gte=instant))
    if row is None:
        return None
    event = row.fact()
    if event.type is EventType.SLOT_FIRED:
        return event if event.scheduled_for == instant else None
    first = event.parsed_time(keys.FIRST)
    if first is None or first > instant:
        return None
    phase = phase_at(state, instant)
    unreadable = phase is not None and why_unreadable(phase.definition)
    return event if unreadable or is_promised(state, instant) else None


def _versions_that_count(name: str, instant: datetime) -> tuple[int, int]:
    """The versions of a cron's stream between which a decision about the instant stands."""
    rows = _own(name).filter(type=EventType.CRON_REWOUND).order_by("id")
    rewinds = [Rewind.of(row.fact()) for row in rows]
    first = max((item.version for item in rewinds if item.start < instant), default=0)
    later = (item.version for item in rewinds if item.start >= instant and item.version > first)
    return first, min(later, default=VERSION_MAX)


def _definition_events(name: str) -> tuple[list[Event], ArchivedTo]:
    """In the same trip, how far the log is archived."""
    own = _own(name).filter(type__in=DEFINITION_TYPES).order_by("id")
    rows = list(own.annotate(archived_to=NEWEST_ARCHIVED, archived_at=NEWEST_ARCHIVED_AT))
    return put_back(own.db, [row.fact() for row in rows]), ArchivedTo.of(rows)


def _all_pauses() -> Readable:
    """The pauses of everything and their ends: people's actions, so there are not many."""
    rows = _rows().filter(
        stream=LEDGER_STREAM, type__in=(EventType.ALL_PAUSED, EventType.ALL_RESUMED)
    )
    newest = rows.order_by("-version")[:PAUSES_KEPT_MAX]
    found = readable_rows(newest, store.connection(), texts=True)
    events: list[Event] = []
    failed: list[Unreadable] = []
    for event in reversed(found.events):
        error = why_not_foldable(event, GlobalPauses())
        if error is None:
            events.append(event)
        else:
            failed.append(Unreadable.event(event, error))
    return Readable(events, [*found.unreadable, *not_accepted(store.connection(), failed)])


def _requests(name: str, slot: datetime) -> list[Event]:
    """Reruns and backfills of a slot."""
    rows = _own(name).filter(type=EventType.RUN_REQUESTED, scheduled_for=slot)
    return _with_texts(rows.order_by("id")[:REQUESTS_MAX])


def _events_of_run(run_id: UUID) -> list[Event]:
    return _with_texts(_rows().for_run(run_id).order_by("id")[:RUN_EVENTS_MAX])


def _with_texts(rows: CronEventQuerySet) -> list[Event]:
    return put_back(rows.db, [row.fact() for row in rows])


def _events_behind(decision: Event) -> list[Event]:
    """Of the run that the slot became, or of the one that was active then."""
    if decision.run_id is not None:
        return _events_of_run(decision.run_id)
    if decision.reason == Reason.OVERLAP:
        active = decision.data.get(keys.EVIDENCE, {}).get(keys.EVIDENCE_RUN_ID)
        return _events_of_run(UUID(active)) if active else []
    return []


def _instead(decision: Event) -> Event | None:
    """The slot that ran in the place of a superseded one."""
    if decision.reason != Reason.SUPERSEDED:
        return None
    rows = _rows().for_cron(decision.cron).filter(type=EventType.SLOT_FIRED)
    row = _first_own(rows.filter(scheduled_for__gt=decision.scheduled_for))
    return row.fact() if row else None


def _downtime_of(found: Evidence, decision: Event) -> tuple[Downtime | None, list[Event]]:
    """Only where it explains something: the slot was missed, or fired late."""
    slot = found.at
    late_seconds = (decision.occurred_at - slot).total_seconds()
    fired_at_once = decision.type is EventType.SLOT_FIRED and late_seconds < LATE_SECONDS
    if decision.type is EventType.SLOT_SKIPPED or fired_at_once:
        return None, []
    if slot > found.now:
        return None, []  # this machine's clock is behind, so it can't tell who was alive
    recorded = decision.data.get(keys.HELD_UP)
    held_up = Downtime.from_data(recorded) if recorded else None
    if held_up is not None and held_up.cause in _RUNNER_ALIVE:
        return held_up, []  # though it could not decide, or not even say that it was alive
    downtime, evidence = downtime_at(slot)
    if downtime is None and held_up is not None and held_up.covers(slot):
        return held_up, evidence
    return downtime, evidence


_RUNNER_ALIVE = (DowntimeCause.DATABASE_AWAY, DowntimeCause.CLOCK_SKEWED)


def _waited(found: Evidence, decision: Event) -> Waited | None:
    """The run that a slot waited for before it was decided."""
    if decision.type is EventType.SLOT_SKIPPED or not _queues(found):
        return None
    for run_id, ended_at in _newest_runs(found.state.name, before=found.at):
        if ended_at is not None and found.at < ended_at <= decision.occurred_at:
            return Waited(run_id, ended_at)
    return None


def _open_run(found: Evidence) -> UUID | None:
    """The run that an undecided slot waits for."""
    runs = _newest_runs(found.state.name) if _queues(found) else ()
    return next((run_id for run_id, ended_at in runs if ended_at is None), None)


def _queues(found: Evidence) -> bool:
    definition = found.phase.definition if found.phase else None
    return definition is not None and definition.overlap is Overlap.QUEUE


def _newest_runs(
    name: str, before: datetime | None = None
) -> Iterator[tuple[UUID, datetime | None]]:
    """Runs of slots, of those before an instant only, newest first, and when each ended."""
    fired = _own(name).filter(type=EventType.SLOT_FIRED)
    if before is not None:
        fired = fired.filter(scheduled_for__lt=before)
    for row in fired.order_by("-scheduled_for")[:OPEN_RUNS_LOOKED_AT_MAX]:
        assert row.run_id is not None
        ended = _rows().filter(stream=run_stream(row.run_id), type__in=sorted(OUTCOMES)).first()
        yield row.run_id, ended.occurred_at if ended else None


def _own(name: str) -> CronEventQuerySet:
    """Events of the cron's own stream, which is what decides; the column leads to the index."""
    return _rows().filter(cron=name, stream=cron_stream(name))


def _first_own(rows: CronEventQuerySet) -> CronEvent | None:
    """The one with the earliest slot, of a cron's rows, that is of its own stream.

    By the column alone, as long as that will do: PostgreSQL takes column and stream for two independent
    conditions, expects a row or two, and reads and sorts all slots that came after.
    """
    in_order = rows.order_by("scheduled_for")
    row = in_order.first()
    if row is None or row.stream == cron_stream(row.cron):
        return row
    return in_order.filter(stream=cron_stream(row.cron)).first()


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
