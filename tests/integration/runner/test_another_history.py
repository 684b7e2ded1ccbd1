"""The log went back behind the projections, and their ids were handed out again."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from rqcron_projections import projector
from rqcron_projections.models import CronJob, CronRun
from rqcron_projections.replay.rebuild import check, rebuild

from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.queries.health import health
from rqcron_events.runner.following.steps import follow_all
from tests.went_back import go_back, newest

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _nothing_logged_yet() -> None:
    projector._broken.clear()


@pytest.fixture(params=["longer", "as long", "shorter"])
def another_history(request, deploy, add, clock, redis_connection) -> str:
    """Four minutes are lost of which the projections know, and others follow."""
    add("report", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    kept = newest()
    for _ in range(4):
        clock.advance(MINUTE)
        runner.tick()
    projector.catch_up()
    lost = newest() - kept
    go_back(kept)
    count = {"longer": lost + 5, "as long": lost, "shorter": lost - 1}[request.param]
    for number in range(count // 2):
        controls.pause("report", reason=f"{number}", by="ann")
        controls.resume("report", by="ann")
    if count % 2:
        controls.pause("report", by="ann")
    assert newest() == kept + count
    return str(request.param)


def test_a_projection_notices_whatever_ids_the_log_has_reached(another_history, caplog):
    with caplog.at_level(logging.ERROR):
        assert projector.catch_up() == 0
    assert projector.broken() == ["crons", "days", "runners", "runs"]
    assert "cron_replay" in caplog.text
    assert any("cron_replay" in problem for problem in health().problems)


def test_the_leading_runner_builds_it_again(another_history):
    follow_all()
    assert check() == []
    assert projector.broken() == []
    assert CronRun.objects.count() == CronEvent.objects.of_type("slot_fired").count() == 1
    assert CronJob.objects.get().fired_count == 1
    assert not any("cron_replay" in problem for problem in health().problems)


def test_cron_replay_does_what_it_is_named_for(another_history):
    with pytest.raises(CommandError):
        call_command("cron_replay", "--check")
    rebuild()
    assert check() == []
    controls.resume("report", by="ann")
    assert projector.catch_up() > 0
    assert projector.broken() == [] and check() == []


def test_events_that_follow_move_the_marks(deploy, add, clock, redis_connection):
    """What was seen first may leave the log's end; what was seen last counts."""
    add("report", schedule="* * * * *")
    runner = deploy()
    for _ in range(20):
        clock.advance(MINUTE)
        runner.tick()
        assert projector.catch_up() > 0
    kept = newest() - 1
    go_back(kept)
    controls.pause("report", by="ann")
    assert newest() == kept + 1
    assert projector.catch_up() == 0
    assert projector.broken()
