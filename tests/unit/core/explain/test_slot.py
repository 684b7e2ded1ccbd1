"""What the verdict on a slot comes with: who, when, how long, which clocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from rqcron_events.core.decide import HeldUp, Limits, decide
from rqcron_events.core.downtime import Downtime, DowntimeCause
from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.evidence import Evidence
from rqcron_events.core.explain.requested import explain_requested
from rqcron_events.core.explain.slot import explain_slot
from tests.unit.history import History, at

RUN = UUID("12345678-0000-0000-0000-000000000000")
AWAY = Downtime(at("08:58"), None)


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


@pytest.mark.parametrize(
    ("prepare", "now", "more", "reason", "summary"),
    [
        (None, "08:55", {}, "future", "alpha is due at {slot}, in 5 min."),
        (
            lambda history: history.pause(at("08:51"), until=at("10:00"), reason="moving"),
            "08:55",
            {},
            "paused",
            "alpha is due at {slot}, but it is paused by ada until 2026-03-02 10:00:00 UTC (moving), "
            "so this slot will be skipped unless somebody resumes it first.",
        ),
        (
            lambda history: history.pause_all(at("08:51")),
            "08:55",
            {},
            "all_paused",
            "alpha is due at {slot}, but all crons are paused by ada, so this slot will be skipped "
            "unless somebody resumes it first.",
        ),
        (
            lambda history: history.register(at("08:51"), jitter_seconds=60),
            "09:00:01",
            {},
            "waiting",
            "alpha was due at {slot}, 1.0 s ago, and waits for its jitter of {jitter:.1f} s.",
        ),
        (
            None,
            "09:00:05",
            {"waits_for": RUN},
            "waiting",
            "alpha was due at {slot}, 5.0 s ago, and waits for run 12345678 to end "
            "(overlap='queue').",
        ),
        (
            None,
            "09:00:05",
            {},
            "undecided",
            "alpha was due at {slot}, 5.0 s ago, and no runner has decided it yet; a runner is "
            "alive and will decide it shortly.",
        ),
        (
            None,
            "09:00:05",
            {"downtime": AWAY},
            "undecided",
            "alpha was due at {slot}, 5.0 s ago, and no runner has decided it yet; no runner was "
            "alive from 2026-03-02 08:58:00 UTC until now. Start cron_run or cron_worker.",
        ),
        (
            lambda history: history.decide(at("09:00:01")),
            "09:00:05",
            {},
            "unaccounted",
            "alpha was due at {slot}, 5.0 s ago, and no decision about it is recorded, although "
            "slots up to {slot} are decided: the log has a gap here, which should never happen. "
            "cron_audit alpha lists what is missing.",
        ),
    ],
)
def test_a_slot_without_a_decision_says_what_it_waits_for(
    prepare: Callable[[History], object] | None,
    now: str,
    more: dict[str, Any],
    reason: str,
    summary: str,
) -> None:
    history = History()
    history.register(at("08:50"))
    if prepare:
        prepare(history)
    slot = at("09:00")
    answer = explain_slot(
        Evidence(
            state=history.state,
            at=slot,
            now=at(now),
            decision=None,
            definition_events=[event for event in history.events if event.cron],
            all_pauses=[event for event in history.events if event.stream == "ledger"],
            **more,
        )
    )
    assert (answer.verdict, answer.reason) == ("pending", reason)
    assert answer.definition is not None
    delay = answer.definition.delay(slot).total_seconds()
    assert answer.summary == summary.format(slot="2026-03-02 09:00:00 UTC", jitter=delay)


def test_a_run_that_was_asked_for_says_by_whom_and_how_it_ended():
    history = History()
    history.register(at("08:50"))
    asked = Event(
        stream="cron/alpha",
        version=2,
        type=EventType.RUN_REQUESTED,
        cron="alpha",
        run_id=RUN,
        scheduled_for=at("09:00"),
        reason="no mail",
        actor="bob",
        occurred_at=at("09:10"),
        data={"trigger": "rerun", "of": "87654321-0000-0000-0000-000000000000"},
    )
    lost = Event(
        stream=f"run/{RUN}",
        version=1,
        type=EventType.RUN_LOST,
        run_id=RUN,
        occurred_at=at("09:20"),
        reason="no_job",
    )
    answer = explain_requested(RUN, [asked, lost], history.state)
    assert answer.summary == (
        "alpha was asked for by bob (no mail), trigger rerun of run 87654321 for "
        "2026-03-02 09:00:00 UTC; its run was lost (no_job)."
    )
    assert [step.name for step in answer.steps] == ["requested", "lost"]
