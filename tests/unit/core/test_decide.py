"""What becomes of due slots: each test is a short history and what was decided."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from rqcron_events.core.decide import next_due
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import EventType
from rqcron_events.core.interventions.rewind import Kept
from tests.unit.history import NAME, History, at, definition, minutes


def begun(when: str = "09:00", limits: dict | None = None, **options) -> History:
    history = History(**(limits or {}))
    history.register(at(when), **options)
    return history


def test_nothing_is_due_before_the_first_slot():
    history = begun("09:00")
    assert history.decide(at("09:09:59")) == []
    assert next_due(history.state) == at("09:10")


def test_a_slot_fires_when_it_is_due():
    history = begun("09:00")
    assert history.decide(at("09:10")) == ["fired 09:10"]
    assert history.decide(at("09:10")) == []
    assert next_due(history.state) == at("09:20")


def test_the_instant_of_registration_is_not_a_slot_yet():
    assert begun("09:10").decide(at("09:20")) == ["fired 09:20"]


def test_nothing_is_decided_for_a_cron_that_was_never_registered():
    history = History()
    assert history.decide(at("09:00")) == []
    assert next_due(history.state) is None


def test_a_fired_slot_names_its_run_its_lateness_and_its_definition():
    history = begun("09:00")
    history.decide(at("09:10:02"))
    [event] = history.decisions()
    assert event.run_id == run_id_for_slot(NAME, at("09:10"))
    assert event.scheduled_for == at("09:10")
    assert event.actor == "runner/one"
    assert event.data == {"lateness_seconds": 2.0, "definition_version": 1}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["superseded 09:10-09:40 x4", "fired 09:50"]),
        ({"catch_up": "latest"}, ["superseded 09:10-09:40 x4", "fired 09:50"]),
        ({"catch_up": "all"}, [f"fired 09:{tens}0" for tens in range(1, 6)]),
        ({"catch_up": "none"}, ["too_late 09:10-09:50 x5"]),
        ({"max_lateness_seconds": 60}, ["too_late 09:10-09:50 x5"]),
        ({"max_lateness_seconds": 400}, ["too_late 09:10-09:40 x4", "fired 09:50"]),
        (
            {"max_lateness_seconds": 1499},
            ["too_late 09:10-09:30 x3", "superseded 09:40", "fired 09:50"],
        ),
        (
            {"catch_up": "all", "max_lateness_seconds": 1499},
            ["too_late 09:10-09:30 x3", "fired 09:40", "fired 09:50"],
        ),
        ({"overlap": "skip", "catch_up": "all"}, ["fired 09:10", "overlap 09:20-09:50 x4"]),
        ({"overlap": "queue", "catch_up": "all"}, ["superseded 09:10-09:40 x4", "fired 09:50"]),
    ],
    ids=str,
)
def test_after_fifty_minutes_without_a_runner(options, expected):
    assert begun("09:00", **options).decide(at("09:55")) == expected


def test_catch_up_all_fires_the_newest_up_to_its_bound():
    history = begun("09:00", catch_up="all", limits={"catch_up_slots_max": 2})
    assert history.decide(at("09:55")) == [
        "superseded 09:10-09:30 x3",
        "fired 09:40",
        "fired 09:50",
    ]


@pytest.mark.parametrize(
    ("now", "expected"), [("09:10:10", "fired 09:10"), ("09:10:11", "too_late 09:10")]
)
def test_catch_up_none_allows_the_grace_that_a_standby_needs(now, expected):
    assert begun("09:00", catch_up="none").decide(at(now)) == [expected]


@pytest.mark.parametrize(
    ("now", "expected"), [("09:11", "fired 09:10"), ("09:11:01", "too_late 09:10")]
)
def test_max_lateness_is_the_last_instant_that_still_fires(now, expected):
    assert begun("09:00", max_lateness_seconds=60).decide(at(now)) == [expected]


def test_a_slot_that_was_too_late_says_what_the_bound_was():
    history = begun("09:00", max_lateness_seconds=60)
    history.decide(at("09:15"))
    assert history.decisions()[0].data["evidence"] == {"max_lateness_seconds": 60}


# --- overlap


def test_overlap_allow_fires_beside_a_run():
    history = begun("09:00", overlap="allow")
    assert history.decide(at("09:10")) == ["fired 09:10"]
    assert history.decide(at("09:20")) == ["fired 09:20"]


def test_overlap_skip_skips_until_the_run_ends_and_says_which_run_it_was():
    history = begun("09:00", overlap="skip")
    history.decide(at("09:10"))
    history.run(EventType.RUN_STARTED, at("09:10"), at("09:11"), actor="worker/w", attempt=1)
    assert history.decide(at("09:20")) == ["overlap 09:20"]
    assert history.decisions()[-1].data["evidence"] == {
        "run_id": str(history.run_of(at("09:10"))),
        "slot": at("09:10").isoformat(),
        "started_at": at("09:11").isoformat(),
        "worker": "worker/w",
    }
    history.run(EventType.RUN_SUCCEEDED, at("09:10"), at("09:25"))
    assert history.decide(at("09:30")) == ["fired 09:30"]


@pytest.mark.parametrize(
    "outcome", ["succeeded", "failed", "stopped", "cancelled", "declined", "lost"]
)
def test_every_outcome_ends_the_overlap(outcome):
    history = begun("09:00", overlap="skip")
    history.decide(at("09:10"))
    history.run(EventType(f"run_{outcome}"), at("09:10"), at("09:11"))
    assert history.decide(at("09:20")) == ["fired 09:20"]


def test_a_failed_attempt_does_not_end_the_overlap():
    history = begun("09:00", overlap="skip")
    history.decide(at("09:10"))
    history.run(EventType.RUN_STARTED, at("09:10"), at("09:10"), attempt=1)
    history.run(EventType.ATTEMPT_FAILED, at("09:10"), at("09:11"), attempt=1)
    assert history.decide(at("09:20")) == ["overlap 09:20"]


def test_overlap_queue_lets_one_slot_wait_until_the_run_ends():
    history = begun("09:00", overlap="queue")
    history.decide(at("09:10"))
    waiting = history.step(at("09:20"))
    assert waiting.events == []
    assert waiting.waits_for == history.run_of(at("09:10"))
    history.run(EventType.RUN_SUCCEEDED, at("09:10"), at("09:25"))
    assert history.decide(at("09:25")) == ["fired 09:20"]
    assert history.decisions()[-1].data["lateness_seconds"] == 300


def test_overlap_queue_lets_the_newest_wait_and_skips_the_older():
    history = begun("09:00", overlap="queue")
    history.decide(at("09:10"))
    history.step(at("09:20"))
    assert history.decide(at("09:30")) == ["overlap 09:20"]
    history.run(EventType.RUN_FAILED, at("09:10"), at("09:31"))
    assert history.decide(at("09:31")) == ["fired 09:30"]


def test_overlap_queue_comes_to_an_end_in_bounded_steps_too():
    history = begun("09:00", overlap="queue", limits={"events_per_call": 1})
    history.decide(at("09:10"))
    history.pause(at("09:30"), until=at("09:40"))
    step = history.step(at("09:55"))
    assert (len(step.events), step.more, step.waits_for) == (1, True, None)
    assert history.decide(at("09:55")) == ["paused 09:40"]
    assert history.step(at("09:55")).waits_for == history.run_of(at("09:10"))


def test_a_waiting_slot_can_become_too_late():
    history = begun("09:00", overlap="queue", max_lateness_seconds=60)
    history.decide(at("09:10"))
    history.step(at("09:20"))
    assert history.decide(at("09:22")) == ["too_late 09:20"]


# --- runs that RQ takes no job for


def refuse(history: History, slot: str) -> None:
    history.run(
        EventType.ENQUEUE_FAILED,
        at(slot),
        at(slot),
        reason="refused",
        data={"queue": "gone", "error": {"type": "QueueUnusable", "message": ""}},
    )


def test_a_cron_that_is_refused_again_and_again_piles_up_no_more_than_so_many_runs():
    history = History(refused_runs_max=2)
    history.register(at("09:00"), overlap="allow")
    for slot in ("09:10", "09:20"):
        assert history.decide(at(slot)) == [f"fired {slot}"]
        refuse(history, slot)
    assert history.decide(at("09:30")) == ["overlap 09:30"]
    assert history.decide(at("09:55")) == ["superseded 09:40", "overlap 09:50"]
    evidence = history.decisions()[-1].data["evidence"]
    assert evidence["run_id"] == str(history.run_of(at("09:20")))
    assert evidence["refused_runs"] == 2
    history.run(EventType.RUN_ENQUEUED, at("09:10"), at("09:56"))
    assert history.decide(at("10:00")) == ["fired 10:00"]


# --- edits and retirement


def test_an_edit_takes_effect_from_its_moment():
    history = begun("09:00", schedule="*/10 * * * *", catch_up="all")
    history.register(at("09:20"), schedule="5,25,45 * * * *", catch_up="all")
    assert history.decide(at("09:50")) == [
        "fired 09:10",
        "fired 09:20",
        "fired 09:25",
        "fired 09:45",
    ]
    versions = [event.data["definition_version"] for event in history.decisions()]
    assert versions == [1, 1, 2, 2]


def test_an_edit_back_and_forth_neither_swallows_nor_repeats_a_slot():
    history = begun("09:00", catch_up="all")
    history.register(at("09:10"), schedule="*/20 * * * *", catch_up="all")
    history.register(at("09:10:30"), schedule="*/10 * * * *", catch_up="all")
    assert history.decide(at("09:30")) == ["fired 09:10", "fired 09:20", "fired 09:30"]


def test_policies_of_a_late_decision_are_those_of_the_newest_definition():
    history = begun("09:00", catch_up="all")
    history.register(at("09:25"), catch_up="latest")
    assert history.decide(at("09:30")) == ["superseded 09:10-09:20 x2", "fired 09:30"]


def test_a_retired_cron_fires_nothing_and_accounts_for_what_it_owed():
    history = begun("09:00")
    history.retire(at("09:25"))
    assert history.decide(at("09:55")) == ["retired 09:10-09:20 x2"]
    assert next_due(history.state) is None
    assert history.decide(at("12:00")) == []


def test_a_cron_that_comes_back_owes_nothing_for_the_time_between():
    history = begun("09:00")
    history.decide(at("09:10"))
    history.retire(at("09:15"))
    history.register(at("09:35"))
    assert history.decide(at("09:45")) == ["fired 09:40"]
    assert history.decisions()[-1].data["definition_version"] == 2


def test_a_cron_that_comes_back_is_not_paused_any_more():
    history = begun("09:00")
    history.pause(at("09:05"))
    history.retire(at("09:06"))
    history.register(at("09:07"))
    assert history.decide(at("09:10")) == ["fired 09:10"]


# --- clocks and jitter


def test_a_clock_that_goes_back_decides_nothing():
    history = begun("09:00")
    history.decide(at("09:30"))
    for earlier in ("09:29", "09:10", "08:00"):
        assert history.decide(at(earlier)) == []
    assert history.decide(at("09:40")) == ["fired 09:40"]


def test_an_edit_by_a_clock_that_went_back_repeats_nothing():
    history = begun("09:00", catch_up="all")
    history.decide(at("09:30"))
    history.register(at("09:05"), schedule="*/5 * * * *", catch_up="all")
    assert history.decide(at("09:40")) == ["fired 09:35", "fired 09:40"]


def test_jitter_delays_a_slot_by_the_same_time_for_every_runner_below_its_bound():
    jittered = definition(jitter_seconds=120)
    slots = [at("09:00") + minutes(10 * number) for number in range(200)]
    delays = [jittered.delay(slot) for slot in slots]
    assert delays == [definition(jitter_seconds=120).delay(slot) for slot in slots]
    assert all(timedelta(0) <= delay < timedelta(seconds=120) for delay in delays)
    assert len(set(delays)) > 150
    assert min(delays) < timedelta(seconds=12) < timedelta(seconds=108) < max(delays)


def test_jitter_never_passes_the_next_slot():
    jittered = definition("* * * * *", jitter_seconds=3600)
    for number in range(200):
        slot = at("09:00") + minutes(number)
        assert slot + jittered.delay(slot) < slot + minutes(1)


def test_a_slot_waits_for_its_delay_and_is_not_called_late_for_it():
    history = begun("09:00", jitter_seconds=300)
    due = at("09:10") + definition(jitter_seconds=300).delay(at("09:10"))
    assert next_due(history.state) == due
    assert history.decide(due - timedelta(microseconds=1)) == []
    assert history.decide(due) == ["fired 09:10"]
    [event] = history.decisions()
    assert event.scheduled_for == at("09:10")
    assert event.data["lateness_seconds"] == 0
    assert event.data["jitter_seconds"] == pytest.approx((due - at("09:10")).total_seconds())


def test_a_delay_ends_where_the_slots_of_a_newer_definition_begin():
    slow = {"schedule": "0 * * * *", "jitter_seconds": 3600, "catch_up": "all"}
    history = begun("09:30", **slow)
    due = at("10:00") + definition(**slow).delay(at("10:00"))
    assert due > at("10:03"), "choose another hour"
    history.register(at("10:01"), schedule="* * * * *", catch_up="all")
    assert next_due(history.state) == at("10:02")
    assert history.decide(at("10:02")) == ["fired 10:00", "fired 10:02"]
    first = history.decisions()[0].data
    assert first["lateness_seconds"] == 0
    assert first["jitter_seconds"] == 120


# --- bounds


def test_a_month_of_pause_is_one_event():
    history = begun("03-02 09:00", schedule="* * * * *")
    history.pause(at("03-02 09:00"), reason="holiday")
    assert history.decide(at("04-01 09:00")) == ["paused 09:01-04-01 09:00 x43200"]
    assert history.state.watermark == at("04-01 09:00")


@pytest.mark.parametrize(
    ("catch_up", "newest"),
    [
        ("latest", ["superseded 03-21 09:00:01-06-01 08:59:59 x6220799", "fired 06-01 09:00"]),
        (
            "all",
            [
                "superseded 03-21 09:00:01-06-01 08:59:58 x6220798",
                "fired 06-01 08:59:59",
                "fired 06-01 09:00",
            ],
        ),
        (
            "none",
            [
                "too_late 03-21 09:00:01-06-01 08:59:49 x6220789",
                "superseded 06-01 08:59:50-06-01 08:59:59 x10",
                "fired 06-01 09:00",
            ],
        ),
    ],
)
def test_months_of_a_one_second_cron_are_decided_in_one_call(catch_up, newest):
    """Walked over slot by slot, they would keep a runner busy for minutes."""
    history = begun(
        "03-02 09:00",
        schedule="* * * * * *",
        timezone="America/New_York",  # whose clocks change on 8 March
        catch_up=catch_up,
        limits={"catch_up_slots_max": 2},
    )
    history.pause(at("03-20 09:00"), until=at("03-21 09:00"))
    history.resume(at("03-21 09:00"))
    older = "too_late" if catch_up == "none" else "superseded"
    assert history.decide(at("06-01 09:00")) == [
        f"{older} 09:00:01-03-20 09:00 x1555200",
        "paused 03-20 09:00:01-03-21 09:00 x86400",
        *newest,
    ]


def test_decisions_are_the_same_whenever_they_are_made_from_the_same_state():
    def told() -> list:
        history = begun("09:00", overlap="skip", jitter_seconds=30)
        history.decide(at("09:15"))
        history.pause(at("09:17"))
        history.decide(at("09:45"))
        return history.events

    assert told() == told()


def test_an_hour_that_is_repeated_fires_once():
    history = begun(
        "11-01 04:00", schedule="30 1 * * *", timezone="America/New_York", catch_up="all"
    )
    assert history.decide(datetime.fromisoformat("2026-11-01T08:00+00:00")) == ["fired 11-01 05:30"]


# One slot that is due alone, as it nearly always is


@pytest.mark.parametrize(
    ("options", "before", "looks", "expected"),
    [
        ({}, None, ["09:10", "09:20"], ["fired 09:10", "fired 09:20"]),
        ({}, "pause", ["09:10", "09:20"], ["paused 09:10", "paused 09:20"]),
        ({}, "pause_all", ["09:10", "09:20"], ["all_paused 09:10", "all_paused 09:20"]),
        ({}, "retire", ["09:10", "09:20"], []),
        ({"disabled": "enabled=False"}, None, ["09:10", "09:20"], ["disabled 09:10", "disabled 09:20"]),
        ({"overlap": "skip"}, None, ["09:10", "09:20"], ["fired 09:10", "overlap 09:20"]),
        ({"overlap": "queue"}, None, ["09:10", "09:20"], ["fired 09:10"]),
        ({"max_lateness_seconds": 60}, None, ["09:10:59", "09:22"], ["fired 09:10", "too_late 09:20"]),
        ({"catch_up": "none"}, None, ["09:10:09", "09:22"], ["fired 09:10", "too_late 09:20"]),
        ({"jitter_seconds": 500}, None, ["09:10"], []),
    ],
)  # fmt: skip
def test_what_stops_slots_stops_one_that_is_due_alone(options, before, looks, expected):
    history = begun("09:00", **options)
    if before is not None:
        getattr(history, before)(at("09:05"))
    assert [word for look in looks for word in history.decide(at(look))] == expected


def test_one_that_fired_ahead_of_its_time_does_not_fire_again_alone():
    history = begun("09:00")
    history.decide(at("09:10"))
    history.state.kept = (Kept(at("09:20"), at("09:20")),)
    assert history.decide(at("09:20")) == []
    assert history.decide(at("09:30")) == ["fired 09:30"]
