"""What is said of runs."""

from __future__ import annotations

from uuid import UUID

import pytest

from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.run import Request, run_summary
from rqcron_events.core.explain.sentences import further_runs, refused_starts, run_clause
from rqcron_events.core.wording import clause, shower
from tests.unit.history import at


def test_further_runs_of_a_slot_are_named_up_to_three():
    asked = [Request(UUID(int=n), "rerun", "bob", "no mail", at("09:10")) for n in range(5)]
    text = further_runs(asked, shower(None))
    assert text.count("bob asked for run 00000000 of this slot at 2026-03-02 09:10:00 UTC") == 3
    assert "by rerun (no mail)." in text
    assert text.endswith(" 2 more requests asked for this slot.")
    assert further_runs([], shower(None)) == ""


def test_refused_starts_are_counted():
    refused = Event(
        stream=f"run/{UUID(int=1)}",
        version=4,
        type=EventType.START_REFUSED,
        reason="already_running",
        occurred_at=at("09:10"),
        data={},
    )
    assert refused_starts([]) == ""
    assert refused_starts([refused]) == "A second start of it was refused (already running)."
    assert refused_starts([refused, refused]).startswith("2 further starts of it were refused")


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
    assert run_clause(run_summary(run_id, [failed]), shower(None)) == text
    assert clause(ValueError(" The log cannot be read.\n")) == "The log cannot be read"
