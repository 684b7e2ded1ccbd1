"""What keeps crons from running: whom it concerns, and how it is said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rqcron_events.core.explain.obstacles import (
    Obstacle,
    ObstacleKind,
    as_things_stand,
    concerning,
)

SINCE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NO_WORKER = Obstacle(
    kind=ObstacleKind.NO_WORKER,
    text="no worker serves queue 'high'",
    remedy="Start cron_worker high.",
    since=SINCE,
    queue="high",
)
PAUSED = Obstacle(kind=ObstacleKind.PAUSED, text="it is paused", crons=frozenset({"report"}))
NO_RUNNER = Obstacle(kind=ObstacleKind.NO_RUNNER, text="cron_run --once was not called")


@pytest.mark.parametrize(
    ("cron", "queue", "expected"),
    [
        ("report", "high", [NO_WORKER, PAUSED, NO_RUNNER]),
        ("report", "low", [PAUSED, NO_RUNNER]),
        ("digest", "high", [NO_WORKER, NO_RUNNER]),
    ],
)
def test_it_concerns_a_queue_single_crons_or_all(cron, queue, expected):
    assert concerning([NO_WORKER, PAUSED, NO_RUNNER], cron, queue) == expected


def test_a_sentence_begins_with_a_capital_letter_unless_with_a_command():
    assert NO_WORKER.sentence == "No worker serves queue 'high'. Start cron_worker high."
    assert NO_RUNNER.sentence == "cron_run --once was not called."


def test_several_are_one_sentence_that_hides_nothing():
    escape = Obstacle(kind=ObstacleKind.CODE_BROKEN, text="no\x1b[2J module")
    assert as_things_stand([]) == ""
    told = as_things_stand([NO_WORKER, escape])
    assert told == "As things stand, no worker serves queue 'high'; no\\x1b[2J module."


def test_its_data_is_what_programs_read():
    assert NO_WORKER.to_data() == {
        "kind": "no_worker",
        "text": "no worker serves queue 'high'",
        "since": "2026-03-02T09:00:00+00:00",
    }
