"""What a cron's events come to: definitions in force, pauses, runs that are open."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rqcron_events.core import cron_state
from rqcron_events.core.cron_state import CronState, GlobalPauses, Pause
from rqcron_events.core.events import OUTCOMES, EventType, cron_stream
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


@pytest.mark.parametrize(
    ("until", "covered"), [("09:20", ["09:10", "09:20"]), (None, ["09:10", "09:20", "09:30"])]
)
def test_a_pause_begins_after_its_instant_and_ends_with_the_one_that_it_names(until, covered):
    pause = Pause(since=at("09:00"), until=at(until) if until else None, reason="", actor="ada")
    clocks = ["08:50", "09:00", "09:10", "09:20", "09:30"]
    assert [clock for clock in clocks if pause.covers(at(clock))] == covered


def test_pauses_of_everything_are_remembered_with_their_ends():
    history = History()
    history.pause_all(at("09:00"), reason="first")
    history.pause_all(at("09:10"), until=at("09:20"), reason="second")  # takes the first's place
    history.resume_all(at("09:30"))  # which is over already
    history.pause_all(at("09:40"), reason="third")
    history.resume_all(at("09:50"))
    reasons = {
        clock: pause.reason if (pause := history.pauses.at(at(clock))) else None
        for clock in ("09:00", "09:05", "09:15", "09:25", "09:45", "09:55")
    }
    assert reasons == {
        "09:00": None,
        "09:05": "first",
        "09:15": "second",
        "09:25": None,
        "09:45": "third",
        "09:55": None,
    }


def test_pauses_of_everything_are_bounded(monkeypatch):
    monkeypatch.setattr(cron_state, "PAUSES_KEPT_MAX", 3)
    history = History()
    for number in range(10):
        history.pause_all(at("09:00") + minutes(number))
    assert [pause.since for pause in history.pauses.pauses] == [
        at("09:07"),
        at("09:08"),
        at("09:09"),
    ]
    assert GlobalPauses().at(at("09:00")) is None
