"""Every reason for which a slot can be passed over is told with what is known about it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from rqcron_events.core.downtime import Downtime, DowntimeCause
from rqcron_events.core.events import Event, EventType, Reason
from rqcron_events.core.explain.reasons import (
    Waited,
    downtime_text,
    resumed,
    resumed_text,
    waited_text,
    why_not,
)
from rqcron_events.core.wording import shower
from tests.unit.history import at

SHOW = shower(None)
SLOT = at("09:00")
RUN = UUID("0ec91153-6c4e-50ae-adf0-995866017f31")


def decision(reason: str, count: int = 1, evidence: dict | None = None) -> Event:
    return Event(
        stream="cron/alpha",
        version=2,
        type=EventType.SLOT_SKIPPED,
        occurred_at=at("09:05"),
        scheduled_for=SLOT,
        reason=reason,
        data={"evidence": evidence or {}, "count": count},
    )


def told(event: Event, instead: Event | None = None) -> str:
    return why_not(event, SLOT, SHOW, instead)


@pytest.mark.parametrize(
    ("reason", "evidence", "facts"),
    [
        (
            Reason.OVERLAP,
            {"run_id": str(RUN), "started_at": at("08:50").isoformat(), "worker": "worker/a"},
            ["0ec91153", "08:50:00", "worker/a"],
        ),
        (
            Reason.OVERLAP,
            {"run_id": str(RUN), "slot": at("08:40").isoformat()},
            ["0ec91153", "08:40:00"],
        ),
        (Reason.OVERLAP, {}, ["earlier run"]),
        (
            Reason.PAUSED,
            {"since": at("08:30").isoformat(), "actor": "ada", "reason": "moving"},
            ["paused by ada", "08:30:00", "(moving)"],
        ),
        (
            Reason.ALL_PAUSED,
            {"since": at("08:30").isoformat(), "until": at("09:30").isoformat()},
            ["all crons", "somebody", "08:30:00", "09:30:00"],
        ),
        (Reason.TOO_LATE, {}, ["5 min late"]),
        (Reason.TOO_LATE, {"max_lateness_seconds": 60}, ["5 min late", "1 min "]),
        (Reason.SUPERSEDED, {}, ["later slot"]),
        (Reason.RETIRED, {}, ["left the code"]),
        ("a_reason_of_a_newer_release", {}, ["a_reason_of_a_newer_release"]),
    ],
)
def test_a_reason_is_told_with_its_evidence(reason, evidence, facts):
    text = told(decision(reason, evidence=evidence))
    assert [fact for fact in facts if fact not in text] == []


def test_the_slot_that_ran_instead_is_named_with_its_run():
    instead = replace(decision(""), scheduled_for=at("09:20"), run_id=RUN)
    text = told(decision(Reason.SUPERSEDED), instead)
    assert "09:20:00" in text
    assert "0ec91153" in text


@pytest.mark.parametrize(("count", "said"), [(1, False), (4, True)])
def test_a_decision_about_several_slots_says_how_many(count, said):
    assert ("one of 4 slots" in told(decision(Reason.RETIRED, count))) is said


def event(kind: EventType, clock: str) -> Event:
    return Event(
        stream="cron/alpha", version=1, type=kind, occurred_at=at(clock), actor="bob", reason="done"
    )


@pytest.mark.parametrize(
    ("reason", "pauses", "ended"),
    [
        (Reason.PAUSED, [], None),
        (Reason.PAUSED, [event(EventType.CRON_RESUMED, "09:30")], "09:30"),
        # Before the slot; of everything; after another pause: none of them ended this one.
        (Reason.PAUSED, [event(EventType.CRON_RESUMED, "08:30")], None),
        (Reason.PAUSED, [event(EventType.ALL_RESUMED, "09:30")], None),
        (
            Reason.PAUSED,
            [event(EventType.CRON_PAUSED, "09:10"), event(EventType.CRON_RESUMED, "09:30")],
            None,
        ),
        (Reason.ALL_PAUSED, [event(EventType.ALL_RESUMED, "09:30")], "09:30"),
        (Reason.OVERLAP, [event(EventType.CRON_RESUMED, "09:30")], None),
    ],
)
def test_who_ended_a_pause_is_the_next_one_to_resume_after_the_slot(reason, pauses, ended):
    found = resumed(decision(reason), SLOT, pauses)
    assert [item.occurred_at for item in found] == ([at(ended)] if ended else [])
    for item in found:
        text = resumed_text(item, SHOW)
        assert "bob" in text
        assert f"{ended}:00" in text
        assert "(done)" in text


def test_a_slot_that_waited_names_the_run_and_its_end():
    assert waited_text(None, SHOW) == ""
    text = waited_text(Waited(RUN, at("09:07")), SHOW)
    assert "0ec91153" in text
    assert "09:07:00" in text


@pytest.mark.parametrize("cause", DowntimeCause)
def test_each_cause_of_downtime_has_words_of_its_own(cause):
    downtime = Downtime(at("08:30"), at("09:04"), cause, "web-1")
    text = downtime_text(downtime, SHOW, "<", ">")
    others = {
        downtime_text(downtime._replace(cause=other), SHOW, "<", ">")
        for other in DowntimeCause
        if other is not cause
    }
    assert text not in others
    assert text.startswith("<")
    assert text.endswith(">")
    assert "08:30:00" in text
    assert "09:04:00" in text
    assert ("web-1" in text) is (cause is DowntimeCause.STALE_LEASE)


def test_downtime_that_goes_on_has_no_end_and_none_is_not_told():
    assert downtime_text(None, SHOW, "<", ">") == ""
    assert "now" in downtime_text(Downtime(None, None), SHOW, "<", ">")
