"""What the verdict on a slot comes with: who, when, how long, which clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events.core.decide import HeldUp, Limits, decide
from rqcron_events.core.downtime import Downtime, DowntimeCause
from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.evidence import Evidence
from rqcron_events.core.explain.slot import explain_slot
from tests.unit.history import History, at


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
        Evidence(
            state=history.state,
            at=at("09:10"),
            now=at("09:30"),
            decision=missed,
            definition_events=history.events,
            downtime=Downtime.from_data(missed.data["held_up"]),
        )
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
        Evidence(
            state=history.state,
            at=slot,
            now=slot - timedelta(hours=1),
            decision=None,
            definition_events=history.events,
        )
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
            Evidence(
                state=history.state,
                at=at(slot),
                now=at("09:30"),
                decision=missed,
                definition_events=history.events,
            )
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
        Evidence(
            state=history.state,
            at=at("09:00"),
            now=at("09:40"),
            decision=skipped,
            definition_events=history.events,
        )
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
        Evidence(
            state=history.state,
            at=at("09:00"),
            now=at("09:50"),
            decision=decided_at(history, at("09:00:01")),
            definition_events=history.events,
        )
    )
    assert answer.verdict == "skipped"
    assert "resumed" not in answer.summary
