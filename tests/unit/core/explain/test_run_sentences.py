"""What is said of a run beside how it stands, which ``test_run`` has."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.run import run_summary
from rqcron_events.core.explain.run_sentences import arguments, refused_starts, to_begin
from rqcron_events.core.wording import shower
from tests.unit.history import at

RUN = UUID(int=7)


def event(kind: str, data: dict[str, Any] | None = None, reason: str = "") -> Event:
    return Event(
        stream=f"run/{RUN}",
        version=1,
        type=EventType(kind),
        run_id=RUN,
        occurred_at=at("09:00"),
        reason=reason,
        data=data or {},
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, ""),
        ({"args": ["é", 1]}, ', with args ["é", 1]'),
        ({"args": [], "kwargs": {"day": "monday"}}, ', with args [] and kwargs {"day": "monday"}'),
    ],
)
def test_the_arguments_of_one_run_are_told(data, text):
    assert arguments(event("run_requested", data)) == text


def test_long_arguments_are_cut():
    text = arguments(event("run_requested", {"args": ["x" * 5_000]}))
    assert len(text) == 203
    assert text.endswith("...")


def test_a_run_that_begins_by_itself_is_not_to_begin_at_a_time():
    assert to_begin(run_summary(RUN, [event("run_enqueued", {"queue": "low"})]), shower(None)) == ""


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        (["run_started"], ""),
        (["run_started", "start_refused"], "A second start of it was refused (already running)."),
        (["run_cancelled", "start_refused"], "A start of it was refused (already running)."),
        (
            ["run_started", "start_refused", "start_refused"],
            "2 further starts of it were refused (already running).",
        ),
    ],
)
def test_refused_starts_are_counted(kinds, text):
    told = [event(kind, reason="already_running" * (kind == "start_refused")) for kind in kinds]
    assert refused_starts(told) == text
