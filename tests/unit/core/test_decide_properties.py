"""I1 and I2 on random histories: each promised slot is covered by exactly one decision."""

from __future__ import annotations

from datetime import datetime, timedelta
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core import decide, stretches
from rqcron_events.core.cron_state import CronState
from rqcron_events.core.decide import next_due
from rqcron_events.core.events import EventType
from tests.examples import examples
from tests.unit.history import NAME, History, at, minutes

SCHEDULES = (
    "*/10 * * * *",
    "* * * * *",
    "0,7,41 * * * *",
    "30 9-17 * * *",
    "*/20 * * * * *",
    "H H(0-23)/3 * * *",
    "30 1 * * *",  # the clock of New York goes on at 07:00 UTC on 8 March
)
DEFINITIONS = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from(SCHEDULES),
        "timezone": st.sampled_from(("UTC", "America/New_York", "Asia/Kathmandu")),
        "overlap": st.sampled_from(("allow", "skip", "queue")),
        "catch_up": st.sampled_from(("latest", "all", "none")),
        "max_lateness_seconds": st.sampled_from((None, 0.5, 60, 3600)),
        "jitter_seconds": st.sampled_from((0, 0, 7, 300, 7200)),
        "disabled": st.sampled_from(("", "", "", "enabled=False")),
    }
)
LIMITS = st.fixed_dictionaries(
    {"catch_up_slots_max": st.integers(1, 6), "events_per_call": st.integers(1, 40)}
)
PAUSES = st.one_of(st.none(), st.integers(1, 300))
ACTIONS = st.one_of(
    st.tuples(st.just("decide"), st.none()),
    st.tuples(st.just("decide"), st.none()),
    st.tuples(st.just("register"), DEFINITIONS),
    st.tuples(st.just("retire"), st.none()),
    st.tuples(st.just("pause"), PAUSES),
    st.tuples(st.just("resume"), st.none()),
    st.tuples(st.just("pause_all"), PAUSES),
    st.tuples(st.just("resume_all"), st.none()),
    st.tuples(st.just("end a run"), st.none()),
)
# Mostly forward; a clock that goes back is part of the promise.
STEPS = st.lists(
    st.tuples(st.one_of(st.integers(0, 90 * 60), st.integers(-1800, 600)), ACTIONS),
    min_size=1,
    max_size=25,
)


def play(definition: dict, limits: dict, steps: list) -> tuple[History, datetime]:
    history = History(**limits)
    now = at("03-08 04:00")
    history.register(now, **definition)
    for seconds, (action, value) in steps:
        now += timedelta(seconds=seconds)
        take(history, now, action, value)
        known = CronState.from_data(NAME, history.state.to_data())
        assert known == history.state, "a snapshot holds the whole state"
    return history, now


def take(history: History, now: datetime, action: str, value) -> None:
    match action:
        case "decide":
            history.decide(now)
        case "register":
            history.register(now, **value)
        case "retire" if history.state.definition is not None:
            history.retire(now)
        case "pause" | "pause_all":
            until = now + minutes(value) if value else None
            getattr(history, action)(now, until=until)
        case "resume" | "resume_all":
            getattr(history, action)(now)
        case "end a run" if history.state.open_runs:
            run = next(iter(history.state.open_runs.values()))
            history.run(EventType.RUN_SUCCEEDED, run.slot, now)
        case _:
            pass


@settings(max_examples=examples(300), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_every_promised_slot_is_covered_by_exactly_one_decision(definition, limits, steps):
    history, now = play(definition, limits, steps)
    history.decide(now)
    covered = history.covered()
    slots = [slot for slot, _ in covered]
    assert len(slots) == len(set(slots)), "I1: no slot is decided twice"
    assert covered == history.promised(), "I2: no promised slot is left out"


@settings(max_examples=examples(200), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_what_is_due_is_decided_and_what_is_not_due_is_left_alone(definition, limits, steps):
    history, now = play(definition, limits, steps)
    for _ in range(10_000):
        last = history.step(now)
        if not last.more:
            break
    due = next_due(history.state)
    if last.waits_for is not None:
        assert last.waits_for in history.state.open_runs
    else:
        assert due is None or due > now
    if due is not None and due > now:
        again = history.step(due - timedelta(microseconds=1))
        assert again.events == []
    assert history.step(now - timedelta(days=1)).events == []


@settings(max_examples=examples(200), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_a_slot_fires_at_most_once_and_never_early(definition, limits, steps):
    history, _ = play(definition, limits, steps)
    fired = [event for event in history.decisions() if event.type is EventType.SLOT_FIRED]
    assert len({event.run_id for event in fired}) == len(fired)
    for event in fired:
        assert event.scheduled_for is not None
        assert event.scheduled_for <= event.occurred_at
        assert event.data["lateness_seconds"] >= 0


@settings(max_examples=examples(200), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_nothing_fires_during_a_pause(definition, limits, steps):
    history, _ = play(
        definition, limits, [*steps, (0, ("resume", None)), (0, ("resume_all", None))]
    )
    start = history.state.phases[-1].start
    history.pause_all(start)
    before = len(history.decisions())
    history.decide(start + timedelta(hours=3))
    assert {event.type for event in history.decisions()[before:]} <= {
        EventType.SLOT_SKIPPED,
        EventType.SLOT_MISSED,  # of a cron that retired
    }


@settings(max_examples=examples(200), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_the_fold_of_the_events_is_the_state(definition, limits, steps):
    history, _ = play(definition, limits, steps)
    folded = CronState(NAME)
    for event in history.events:
        if event.cron == NAME:
            folded.apply(event)
            folded.apply(event)  # events of its stream that come twice change nothing
    assert folded == history.state


@settings(max_examples=examples(100), deadline=None)
@given(DEFINITIONS, st.integers(1, 6), STEPS, st.integers(0, 5), st.integers(0, 3 * 24 * 60))
def test_slots_that_are_counted_are_decided_as_if_each_were_looked_at(
    definition, catch_up_slots_max, steps, few, downtime
):
    """After any history, and across a change of the clocks."""
    steps = [*steps, (downtime * 60, ("decide", None))]
    told = []
    for walked in (few, 10**9):
        with patch.object(stretches, "FEW", walked):
            history, _ = play(definition, {"catch_up_slots_max": catch_up_slots_max}, steps)
        told.append(history.events)
    assert told[0] == told[1]


@settings(max_examples=examples(200), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_a_slot_that_is_due_alone_is_decided_as_all_are(definition, limits, steps):
    """The short way, after any history; many short steps of it."""
    steps = [part for step in steps for part in (step, (61, ("decide", None)))]
    history, _ = play(definition, limits, steps)
    with patch.object(decide, "only_slot", lambda *_: None):
        as_all, _ = play(definition, limits, steps)
    assert history.events == as_all.events


@settings(max_examples=examples(100), deadline=None)
@given(DEFINITIONS, LIMITS, st.integers(1, 3 * 24 * 60))
def test_one_call_is_bounded_whatever_the_downtime(definition, limits, downtime):
    history = History(**limits)
    history.register(at("03-08 04:00"), **definition)
    now = at("03-08 04:00") + minutes(downtime)
    while True:
        step = history.step(now)
        assert len(step.events) <= limits["events_per_call"]
        if not step.more:
            break
    fired = [event for event in history.decisions() if event.type is EventType.SLOT_FIRED]
    assert len(fired) <= (limits["catch_up_slots_max"] if definition["catch_up"] == "all" else 1)
    assert history.covered() == history.promised()
