"""What explain says beyond the verdict: clocks, fields, steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from rqcron_events.core.decide import HeldUp, Limits, decide
from rqcron_events.core.definition import Definition
from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.clock_change import clock_change_text
from rqcron_events.core.explain.mismatch import mismatches
from rqcron_events.core.explain.run import (
    Request,
    refused_text,
    requests_text,
    run_summary,
    run_text,
    steps,
)
from rqcron_events.core.explain.slot import Downtime, DowntimeCause, explain_slot
from rqcron_events.core.wording import clause, shower
from tests.unit.history import History, at


def cron(expression: str, timezone: str = "UTC") -> Definition:
    return Definition(name="alpha", function="m:f", expression=expression, timezone=timezone)


@pytest.mark.parametrize(
    ("expression", "timezone", "instant", "text"),
    [
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T07:00:00Z",
            "02:30 did not exist on 2026-03-08 in America/New_York, where clocks went from 02:00 "
            "to 03:00; it runs at 03:00 instead",
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T15:30:00Z",
            "02:15 did not exist on 2026-10-04 in Australia/Lord_Howe, where clocks went from "
            "02:00 to 02:30; it runs at 02:30 instead",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T05:30:00Z",
            "01:30 happened twice on 2026-11-01 in America/New_York; it runs in the first pass "
            "(EDT) and not again in the second (EST)",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T06:30:00Z",
            "01:30 happened twice on 2026-11-01 in America/New_York; it runs in the first pass "
            "(EDT) and not again in the second (EST)",
        ),
        ("30 2 * * *", "America/New_York", "2026-03-09T06:30:00Z", ""),
        ("30 2 * * *", "America/New_York", "2026-03-08T07:30:00Z", ""),
        # Follows real time, so the clocks change nothing.
        ("*/30 * * * *", "America/New_York", "2026-03-08T07:00:00Z", ""),
        ("*/30 * * * *", "America/New_York", "2026-11-01T06:30:00Z", ""),
    ],
)
def test_a_change_of_the_clocks_is_told_in_words(expression, timezone, instant, text):
    assert clock_change_text(cron(expression, timezone), datetime.fromisoformat(instant)) == text


@pytest.mark.parametrize(
    ("expression", "instant", "fields"),
    [
        ("0 9 * * 1-5", "2026-03-06T09:00:00Z", []),
        ("0 9 * * 1-5", "2026-03-07T09:00:00Z", ["day of week Sat is not in '1-5'"]),
        ("0 9 * * *", "2026-03-07T10:30:00Z", ["hour 10 is not in '9'", "minute 30 is not in '0'"]),
        ("0 9 1 3 *", "2026-04-01T09:00:00Z", ["month Apr is not in '3'"]),
        # Either day field is enough, so both have failed.
        (
            "0 9 1,15 * 1",
            "2026-03-07T09:00:00Z",
            ["day of month 7 is not in '1,15'", "day of week Sat is not in '1'"],
        ),
        ("* * * * *", "2026-03-07T09:00:12.500Z", ["second 12.5 is not in '0'"]),
        ("30 0 9 * * *", "2026-03-07T09:00:00Z", ["second 0 is not in '30'"]),
        ("@daily", "2026-03-07T09:00:00Z", ["hour 9 is not in '@daily'"]),
    ],
)
def test_an_instant_that_is_no_slot_is_told_by_its_fields(expression, instant, fields):
    found = mismatches(cron(expression), datetime.fromisoformat(instant))
    assert [str(mismatch) for mismatch in found] == fields


def test_an_instant_between_two_periods_is_told_by_its_distance():
    (found,) = mismatches(
        Definition(name="alpha", function="m:f", every_seconds=900), at("09:01:30")
    )
    assert str(found) == "it is 90 s after a slot"


def test_a_hashed_field_is_told_with_its_number():
    schedule = cron("H 9 * * *").schedule
    (minute,) = schedule.minutes
    (found,) = mismatches(cron("H 9 * * *"), at(f"09:{(minute + 1) % 60:02}"))
    assert str(found) == f"minute {(minute + 1) % 60} is not in 'H = {minute}'"


def test_the_steps_of_a_run_carry_the_times_between_them():
    run_id = UUID(int=1)
    slot = at("09:00")

    def event(kind: EventType, seconds: float, **fields) -> Event:
        fields.setdefault("actor", "worker/one")
        moment = slot + timedelta(seconds=seconds)
        return Event(
            stream=f"run/{run_id}",
            version=1,
            type=kind,
            occurred_at=moment,
            run_id=run_id,
            **fields,
        )

    origin = event(EventType.SLOT_FIRED, 0.5, scheduled_for=slot, actor="runner/one")
    error = {"type": "ValueError", "message": "no " * 100}
    story = steps(
        origin,
        [
            event(EventType.RUN_ENQUEUED, 0.75, data={"queue": "high"}),
            event(EventType.RUN_STARTED, 2, attempt=1),
            event(EventType.ATTEMPT_FAILED, 3, attempt=1, data={"error": error, "retries_left": 1}),
            event(EventType.RUN_STARTED, 13, attempt=2),
            event(EventType.RUN_SUCCEEDED, 14),
        ],
    )
    assert [(step.name, step.seconds) for step in story] == [
        ("slot", None),
        ("decided", 0.5),
        ("enqueued", 0.25),
        ("started", 1.25),
        ("attempt_failed", 1.0),
        ("started", 10.0),
        ("succeeded", 1.0),
    ]
    assert story[1].detail == "by runner/one"
    assert story[3].detail == "attempt 1 on worker/one"
    assert story[4].detail.startswith("attempt 1: ValueError: no no")
    assert len(story[4].detail) < 180


def test_what_held_a_runner_up_is_recorded_and_told():
    history = History()
    history.register(at("08:55"), catch_up="none")
    downtime = Downtime(at("08:59"), at("09:20:30"), DowntimeCause.DATABASE_AWAY)
    decided = decide(
        history.state,
        at("09:20:30"),
        all_paused=history.pauses,
        limits=Limits(),
        actor="runner/one",
        held_up=HeldUp(since=at("08:59"), until=at("09:20:30"), data=downtime.to_data()),
    )
    (missed,) = decided.events
    assert Downtime.from_data(missed.data["held_up"]) == downtime
    answer = explain_slot(
        history.state,
        at("09:10"),
        at("09:30"),
        decision=missed,
        definition_events=history.events,
        downtime=Downtime.from_data(missed.data["held_up"]),
    )
    assert (
        "the database did not answer from 2026-03-02 08:59:00 UTC to 2026-03-02 09:20:30 UTC"
        in answer.summary
    )


def test_slots_outside_of_the_time_that_held_a_runner_up_are_not_blamed_on_it():
    history = History()
    history.register(at("08:55"))
    held_up = HeldUp(since=at("07:00"), until=at("08:00"), data={})
    decided = decide(
        history.state,
        at("09:00:01"),
        all_paused=history.pauses,
        limits=Limits(),
        actor="runner/one",
        held_up=held_up,
    )
    assert "held_up" not in decided.events[0].data


def test_a_slot_moved_by_the_clocks_says_so_in_its_summary():
    history = History()
    history.register(
        datetime(2026, 3, 7, tzinfo=UTC), schedule="30 2 * * *", timezone="America/New_York"
    )
    slot = datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    answer = explain_slot(
        history.state,
        slot,
        slot - timedelta(hours=1),
        decision=None,
        definition_events=history.events,
    )
    assert answer.verdict == "pending"
    assert "02:30 did not exist on 2026-03-08" in answer.clock_change
    assert answer.clock_change in answer.summary


def decided_at(history: History, now: datetime, limits: Limits | None = None) -> Event:
    """The first decision that the runner would record now."""
    return decide(
        history.state,
        now,
        all_paused=history.pauses,
        limits=limits or Limits(),
        actor="runner/one",
    ).events[0]


def test_each_slot_of_a_range_that_is_too_late_has_its_own_lateness():
    history = History()
    history.register(at("08:55"), max_lateness_seconds=60)
    missed = decided_at(history, at("09:25"))
    assert missed.data["count"] == 3
    for slot, late in [("09:00", "25 min"), ("09:20", "5 min")]:
        answer = explain_slot(
            history.state,
            at(slot),
            at("09:30"),
            decision=missed,
            definition_events=history.events,
        )
        assert f"decided {late} late" in answer.summary


@pytest.mark.parametrize("decided", ["09:00:01", "09:31"])
def test_a_pause_names_who_ended_it_even_when_the_slot_was_decided_later(decided):
    history = History()
    history.register(at("08:50"))
    history.pause(at("08:55"), reason="moving")
    history.resume(at("09:05"))
    history.pause(at("09:06"))
    history.resume(at("09:07"))
    skipped = decided_at(history, at(decided))
    assert skipped.type is EventType.SLOT_SKIPPED
    answer = explain_slot(
        history.state,
        at("09:00"),
        at("09:40"),
        decision=skipped,
        definition_events=history.events,
    )
    assert answer.summary.count("resumed it at 2026-03-02 09:05:00 UTC") == 1
    assert "09:07" not in answer.summary
    assert [event.occurred_at for event in answer.events if event.type == "cron_resumed"] == [
        at("09:05")
    ]


def test_a_pause_that_ended_by_itself_was_resumed_by_nobody():
    history = History()
    history.register(at("08:50"))
    history.pause(at("08:55"), until=at("09:05"))
    history.pause(at("09:30"))
    history.resume(at("09:40"))
    answer = explain_slot(
        history.state,
        at("09:00"),
        at("09:50"),
        decision=decided_at(history, at("09:00:01")),
        definition_events=history.events,
    )
    assert answer.verdict == "skipped"
    assert "resumed" not in answer.summary


def test_further_runs_of_a_slot_are_named_up_to_three():
    asked = [Request(UUID(int=n), "rerun", "bob", "no mail", at("09:10")) for n in range(5)]
    text = requests_text(asked, shower(None))
    assert text.count("bob asked for run 00000000 of this slot at 2026-03-02 09:10:00 UTC") == 3
    assert "by rerun (no mail)." in text
    assert text.endswith(" So did 2 more requests.")
    assert requests_text([], shower(None)) == ""


def test_refused_starts_are_counted():
    refused = Event(
        stream=f"run/{UUID(int=1)}",
        version=4,
        type=EventType.START_REFUSED,
        reason="already_running",
        occurred_at=at("09:10"),
        data={},
    )
    assert refused_text([]) == ""
    assert refused_text([refused]) == " A second start of it was refused (already running)."
    assert refused_text([refused, refused]).startswith(" 2 further starts of it were refused")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Add it to INSTALLED_APPS.", "its run failed: ImportError: Add it to INSTALLED_APPS"),
        ("port 25", "its run failed: ImportError: port 25"),
        ("", "its run failed: ImportError"),
    ],
)
def test_an_error_with_a_full_stop_does_not_make_two_of_them(message: str, text: str):
    run_id = UUID(int=1)
    failed = Event(
        stream=f"run/{run_id}",
        version=1,
        type=EventType.RUN_FAILED,
        run_id=run_id,
        occurred_at=at("09:00"),
        data={"error": {"type": "ImportError", "message": message}},
    )
    assert run_text(run_summary(run_id, [failed])) == text
    assert clause(ValueError(" The log cannot be read.\n")) == "The log cannot be read"
