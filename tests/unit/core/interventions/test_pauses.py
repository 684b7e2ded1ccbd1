"""A pause of one cron, and those of everything."""

from __future__ import annotations

import pytest

from rqcron_events.core.interventions import pauses
from rqcron_events.core.interventions.pauses import GlobalPauses, Pause
from tests.unit.history import History, at, minutes


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
    monkeypatch.setattr(pauses, "PAUSES_KEPT_MAX", 3)
    history = History()
    for number in range(10):
        history.pause_all(at("09:00") + minutes(number))
    assert [pause.since for pause in history.pauses.pauses] == [
        at("09:07"),
        at("09:08"),
        at("09:09"),
    ]
    assert GlobalPauses().at(at("09:00")) is None
