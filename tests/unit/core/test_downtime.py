"""A stretch of time in which nobody could decide."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

from rqcron_events.core.downtime import Downtime, DowntimeCause
from tests.unit.history import at


@pytest.mark.parametrize(
    ("since", "until", "covered"),
    [
        ("09:00", "10:00", ["09:00", "09:30", "10:00"]),
        ("09:30", None, ["09:30", "10:00", "10:30"]),  # there is no runner yet
        (None, "09:30", ["08:30", "09:00", "09:30"]),  # there never was one before
        (None, None, ["08:30", "09:00", "09:30", "10:00", "10:30"]),
    ],
)
def test_both_ends_are_in_it_and_an_end_that_is_not_known_is_open(since, until, covered):
    downtime = Downtime(at(since) if since else None, at(until) if until else None)
    clocks = ["08:30", "09:00", "09:30", "10:00", "10:30"]
    assert [clock for clock in clocks if downtime.covers(at(clock))] == covered


@pytest.mark.parametrize(
    "downtime",
    [
        Downtime(at("09:00"), at("10:00")),
        Downtime(None, at("10:00"), DowntimeCause.DATABASE_AWAY),
        Downtime(at("09:00"), None, DowntimeCause.STALE_LEASE, "web-1"),
    ],
)
def test_it_comes_back_from_json_as_it_was(downtime):
    assert Downtime.from_data(json.loads(json.dumps(downtime.to_data()))) == downtime


def test_it_is_stored_in_utc():
    berlin = at("09:00").astimezone(timezone(timedelta(hours=1)))
    assert Downtime(berlin, None).to_data()["since"] == "2026-03-02T09:00:00+00:00"


def test_what_was_stored_before_runners_were_named_is_read():
    stored = {"since": None, "until": None, "cause": "no_runner"}
    assert Downtime.from_data(stored) == Downtime(None, None)


def test_names_of_causes_are_frozen():
    """They are in the data of stored events."""
    causes = ["between_calls", "clock_skewed", "database_away", "no_runner", "stale_lease"]
    assert sorted(DowntimeCause) == causes
