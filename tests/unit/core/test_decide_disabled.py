"""A cron that its code or the settings disable: its slots are skipped, and none of them comes back."""

from __future__ import annotations

from rqcron_events.core.cron_state import CronState
from rqcron_events.core.events import EventType
from tests.unit.history import NAME, at

from .test_decide import begun

OFF = "enabled=False"
BY_SETTING = "RQCRON_ENABLED"


def evidence_of(history) -> list[dict]:
    return [event.data["evidence"] for event in history.decisions()]


def disabled_since(clock: str, by: str = OFF) -> dict:
    return {"since": at(clock).isoformat(), "until": None, "reason": by, "actor": ""}


def test_slots_of_a_disabled_cron_are_skipped_and_say_since_when_and_by_what():
    history = begun("09:00", disabled=OFF)
    assert history.decide(at("09:35")) == ["disabled 09:10-09:30 x3"]
    assert evidence_of(history) == [disabled_since("09:00")]
    assert history.decide(at("09:40")) == ["disabled 09:40"]


def test_many_slots_are_one_event():
    history = begun("09:00", schedule="* * * * * *", disabled=OFF)
    assert history.decide(at("10:00")) == ["disabled 09:00:01-10:00 x3600"]


def test_a_cron_that_comes_back_fires_no_slot_of_the_time_before():
    for catch_up in ("latest", "all"):
        history = begun("09:00", disabled=OFF, catch_up=catch_up)
        history.register(at("09:35"), catch_up=catch_up)
        assert history.decide(at("09:36")) == ["disabled 09:10-09:30 x3"]
        assert history.decide(at("09:45")) == ["fired 09:40"]


def test_a_slot_from_before_does_not_fire_late_while_the_cron_is_disabled():
    history = begun("09:00")
    history.register(at("09:15"), disabled=OFF)
    assert history.decide(at("09:16")) == ["disabled 09:10"]


def test_a_cron_that_is_disabled_and_then_retired():
    history = begun("09:00", disabled=OFF)
    history.retire(at("09:15"))
    assert history.decide(at("09:40")) == ["disabled 09:10"]


def test_what_does_not_run_anyway_needs_no_pause_and_a_pause_stays_behind_it():
    history = begun("09:00")
    history.pause(at("09:01"))
    history.register(at("09:05"), disabled=OFF)
    assert history.decide(at("09:10")) == ["disabled 09:10"]
    history.register(at("09:15"))
    assert history.decide(at("09:20")) == ["paused 09:20"]


def test_everything_else_that_changes_leaves_it_disabled_since_the_first_time():
    history = begun("09:00", disabled=OFF)
    history.decide(at("09:10"))
    history.pause(at("09:15"))
    history.register(at("09:25"), disabled=BY_SETTING, queue="high")
    assert history.decide(at("09:30")) == ["disabled 09:20", "disabled 09:30"]
    assert evidence_of(history)[1:] == [
        disabled_since("09:00"),
        disabled_since("09:00", BY_SETTING),
    ]


def test_a_slot_that_waits_for_a_run_is_skipped_when_the_cron_is_disabled_meanwhile():
    history = begun("09:00", overlap="queue")
    assert history.decide(at("09:10")) == ["fired 09:10"]
    assert history.decide(at("09:20")) == []
    history.register(at("09:21"), overlap="queue", disabled=OFF)
    assert history.decide(at("09:21")) == ["disabled 09:20"]
    history.run(EventType.RUN_SUCCEEDED, at("09:10"), at("09:22"))
    assert history.decide(at("09:30")) == ["disabled 09:30"]


def test_the_saved_state_knows_since_when():
    history = begun("09:00", disabled=OFF)
    history.decide(at("09:10"))
    history.pause(at("09:15"))
    history.decide(at("09:20"))
    history.state = CronState.from_data(NAME, history.state.to_data())
    history.decide(at("09:30"))
    assert evidence_of(history)[-1] == disabled_since("09:00")
