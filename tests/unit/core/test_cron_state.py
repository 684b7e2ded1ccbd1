"""What a cron's events come to: definitions in force, pauses, runs that are open."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rqcron_events.core.cron_state import CronState, OpenRun
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import OUTCOMES, Event, EventType, cron_stream
from tests.unit.history import NAME, History, at, minutes


def fired() -> History:
    """One slot, 09:00, that has fired."""
    history = History()
    history.register(at("08:55"))
    history.decide(at("09:00"))
    return history


def test_before_registration_a_cron_has_no_definition_and_no_watermark():
    state = CronState(NAME)
    assert (state.definition, state.last_definition, state.current) == (None, None, None)
    assert (state.watermark, state.version) == (None, 0)


def test_a_retired_cron_still_answers_with_what_it_was():
    history = fired()
    history.retire(at("09:05"))
    assert history.state.definition is None
    assert history.state.last_definition.expression == "*/10 * * * *"


def test_a_cron_that_comes_back_is_a_new_version_and_not_paused():
    history = fired()
    history.pause(at("09:01"))
    history.retire(at("09:05"))
    history.register(at("09:20"), schedule="0 * * * *")
    current = history.state.current
    assert (current.definition_version, current.pause) == (2, None)


def test_an_edit_keeps_the_pause():
    history = fired()
    history.pause(at("09:01"), reason="moving")
    history.register(at("09:05"), schedule="0 * * * *")
    assert history.state.current.pause.reason == "moving"


def test_a_definition_with_no_slot_left_to_decide_is_forgotten():
    history = fired()
    history.register(at("09:01"), schedule="5 * * * *")
    assert [phase.definition_version for phase in history.state.phases] == [1, 2]
    history.decide(at("09:05"))
    assert [phase.definition_version for phase in history.state.phases] == [2]


def test_an_event_that_is_in_already_changes_nothing():
    history = fired()
    history.run(EventType.RUN_STARTED, at("09:00"), at("09:01"))
    history.pause(at("09:02"))
    before = history.state.to_data()
    for event in history.events:
        if event.stream == cron_stream(NAME):
            history.state.apply(event)
    assert history.state.to_data() == before


def test_events_of_another_crons_stream_change_nothing():
    history = fired()
    before = history.state.to_data()
    history.state.apply(replace(history.events[0], stream="cron/other", version=9))
    assert history.state.to_data() == before


@pytest.mark.parametrize(
    ("happened", "known"),
    [
        ([], {"started_at": None, "attempt": 0}),
        (["run_enqueued"], {"enqueued_at": at("09:01"), "attempt": 0}),
        (["enqueue_failed"], {"enqueue_failed": True, "enqueued_at": None}),
        (["run_started"], {"started_at": at("09:01"), "worker": "worker/a", "attempt": 1}),
        (["run_started", "attempt_failed"], {"started_at": None, "attempt": 1}),
        (["run_started", "start_refused"], {"started_at": at("09:01"), "start_refused": True}),
        (
            ["run_started", "start_refused", "run_started"],
            {"started_at": at("09:03"), "start_refused": False},
        ),
    ],
)
def test_what_is_known_of_an_open_run(happened, known):
    history = fired()
    for number, kind in enumerate(happened, start=1):
        history.run(EventType(kind), at("09:00"), at("09:00") + minutes(number), actor="worker/a")
    (run,) = history.state.open_runs.values()
    assert {name: getattr(run, name) for name in known} == known
    assert run.last_event_at == (at("09:00") + minutes(len(happened)) if happened else None)
    assert (run.slot, run.trigger) == (at("09:00"), "slot")


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_a_run_is_open_until_any_outcome(outcome):
    history = fired()
    assert list(history.state.open_runs) == [history.run_of(at("09:00"))]
    history.run(outcome, at("09:00"), at("09:02"))
    assert history.state.open_runs == {}


def test_the_snapshot_comes_back_from_json_as_it_was():
    history = fired()
    history.run(EventType.RUN_STARTED, at("09:00"), at("09:01"), actor="worker/a")
    history.pause(at("09:02"), until=at("09:30"), reason="moving")
    history.retire(at("09:05"))
    stored = json.loads(json.dumps(history.state.to_data()))
    assert CronState.from_data(NAME, stored) == history.state


def early(history: History, *types: EventType) -> OpenRun | None:
    """A worker writes of the run of 09:10, as the other side of a split brain asked it to; then the slot
    is decided here. The run, if it is open."""
    run_id = run_id_for_slot(NAME, at("09:10"))
    for number, kind in enumerate(types, 1):
        history._add(
            Event(
                stream=f"run/{run_id}",
                version=number,
                type=kind,
                cron=NAME,
                run_id=run_id,
                attempt=1,
                actor="worker/1",
                scheduled_for=at("09:10"),
                occurred_at=at("09:10"),
            )
        )
    # The same from a snapshot.
    history.state = CronState.from_data(NAME, json.loads(json.dumps(history.state.to_data())))
    assert history.decide(at("09:10")) == ["fired 09:10"]
    assert history.state.early_runs == {}
    return history.state.open_runs.get(run_id)


def test_a_run_that_ended_before_its_decision_is_over():
    history = fired()
    assert early(history, EventType.RUN_STARTED, EventType.RUN_SUCCEEDED) is None
    told = history.events[-1].data["recovered"]
    assert told == {"from": ["log"], "outcome": "run_succeeded"}


def test_a_run_that_began_before_its_decision_is_running():
    history = fired()
    run = early(history, EventType.RUN_STARTED)
    assert (run.attempt, run.started_at, run.worker) == (1, at("09:10"), "worker/1")
    assert history.events[-1].data["recovered"] == {"from": ["log"]}
