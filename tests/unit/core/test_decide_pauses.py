"""Slots of a pause are skipped, however late they are decided, and say who stopped them."""

from __future__ import annotations

from tests.unit.history import at

from .test_decide import begun


def test_slots_of_a_pause_are_skipped_and_say_who_and_why():
    history = begun("09:00")
    history.pause(at("09:05"), reason="deploy")
    assert history.decide(at("09:35")) == ["paused 09:10-09:30 x3"]
    assert history.decisions()[0].data["evidence"] == {
        "since": at("09:05").isoformat(),
        "until": None,
        "reason": "deploy",
        "actor": "ada",
    }
    history.resume(at("09:36"))
    assert history.decide(at("09:45")) == ["fired 09:40"]


def test_a_pause_ends_by_itself_at_its_until():
    history = begun("09:00")
    history.pause(at("09:05"), until=at("09:20"))
    assert history.decide(at("09:30")) == ["paused 09:10-09:20 x2", "fired 09:30"]


def test_slots_of_a_pause_stay_skipped_when_it_is_over_before_they_are_decided():
    history = begun("09:00")
    history.pause(at("09:15"))
    history.resume(at("09:35"))
    assert history.decide(at("09:55")) == [
        "superseded 09:10",
        "paused 09:20-09:30 x2",
        "superseded 09:40",
        "fired 09:50",
    ]


def test_a_slot_from_before_the_pause_does_not_fire_late_during_it():
    history = begun("09:00")
    history.pause(at("09:15"))
    assert history.decide(at("09:16")) == ["paused 09:10"]


def test_the_instant_of_a_pause_belongs_to_the_time_before_it():
    history = begun("09:00")
    history.pause(at("09:10"), until=at("09:10:30"))
    assert history.decide(at("09:20")) == ["superseded 09:10", "fired 09:20"]


def test_a_second_pause_takes_the_place_of_the_first():
    history = begun("09:00")
    history.pause(at("09:01"), reason="first")
    history.pause(at("09:15"), until=at("09:25"), reason="second")
    assert history.decide(at("09:30")) == ["paused 09:10", "paused 09:20", "fired 09:30"]
    reasons = [event.data["evidence"]["reason"] for event in history.decisions()[:2]]
    assert reasons == ["first", "second"]


def test_pausing_all_skips_and_resuming_all_fires_again():
    history = begun("09:00")
    history.pause_all(at("09:05"), reason="incident")
    assert history.decide(at("09:25")) == ["all_paused 09:10-09:20 x2"]
    assert history.decisions()[0].data["evidence"]["reason"] == "incident"
    history.resume_all(at("09:26"))
    assert history.decide(at("09:30")) == ["fired 09:30"]


def test_pausing_all_can_end_by_itself():
    history = begun("09:00")
    history.pause_all(at("09:05"), until=at("09:15"))
    assert history.decide(at("09:25")) == ["all_paused 09:10", "fired 09:20"]


def test_resuming_all_does_not_resume_a_cron_that_is_paused_itself():
    history = begun("09:00")
    history.pause(at("09:01"))
    history.pause_all(at("09:02"))
    history.resume_all(at("09:03"))
    assert history.decide(at("09:10")) == ["paused 09:10"]


def test_a_definition_that_changes_during_a_pause_stays_paused():
    history = begun("09:00")
    history.pause(at("09:05"))
    history.register(at("09:12"), schedule="*/5 * * * *")
    assert history.decide(at("09:20")) == ["paused 09:10", "paused 09:15-09:20 x2"]
