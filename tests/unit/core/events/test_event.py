"""One fact, and the names of the streams that facts are in."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from uuid import UUID

import pytest

from rqcron_events.core.events import Event, EventType, cron_stream, run_stream, runner_stream
from tests.unit.history import at

PAUSED = Event(
    stream="cron/alpha",
    version=2,
    type=EventType.CRON_PAUSED,
    occurred_at=at("09:00"),
    data={"until": "2026-03-02T11:00:00+01:00", "effective_from": None},
)


def test_names_of_streams_are_frozen():
    """They are in people's databases."""
    assert cron_stream("team/send digest") == "cron/team/send digest"
    assert run_stream(UUID(int=7)) == "run/00000000-0000-0000-0000-000000000007"
    assert runner_stream("web-1-42-ab") == "runner/web-1-42-ab"


@pytest.mark.parametrize(
    ("key", "time"), [("until", at("10:00")), ("effective_from", None), ("last", None)]
)
def test_a_time_in_the_data_is_an_instant_or_none(key, time):
    assert PAUSED.parsed_time(key) == time


def test_a_fact_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PAUSED.reason = "another"
