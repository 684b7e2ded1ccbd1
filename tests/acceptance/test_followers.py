"""Projections are kept by a process beside the runner, whose faults are none of the runner's."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil
import pytest
from rqcron_projections import projector
from rqcron_projections.models import CronRun

from rqcron_events.models import CronEvent
from tests.processes import Process, Project, has_ended

FOLLOWERS = "following.process"


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, where they are followed in a thread."""


def follower_of(runner: Process) -> psutil.Process | None:
    try:
        return runner.child(FOLLOWERS)
    except ValueError:  # it is not there (yet)
        return None


def test_a_followers_process_that_is_frozen_or_killed_holds_up_no_decision(
    postgresql: None, project: Project
) -> None:
    runner = project.start("cron_run", TEST_APPS="tests.many_app")
    fired = CronEvent.objects.of_type("slot_fired")
    project.wait_until(CronRun.objects.exists)
    first = project.wait_until(lambda: follower_of(runner))

    first.suspend()
    position, count = projector.position(), fired.count()
    project.wait_until(lambda: fired.count() > count + 10)
    assert projector.position() <= position + projector.PAGE_EVENTS, (
        "nobody follows but this process"
    )

    first.kill()
    project.wait_until(lambda: follower_of(runner) not in (None, first))
    behind = CronEvent.objects.last().id
    project.wait_until(lambda: projector.position() >= behind)
    assert "The followers' process ended with exit code -9" in runner.output

    second = follower_of(runner)
    with suppress(psutil.NoSuchProcess):
        for _ in range(20):  # who stops a service asks all of its processes, some of them twice
            second.terminate()
    assert runner.stop() == 0
    assert has_ended(second)
    assert "Traceback" not in runner.output
    assert "exit code 0" not in runner.output


def test_it_dies_with_its_runner_even_when_that_is_killed(
    postgresql: None, project: Project
) -> None:
    runner = project.start("cron_run")
    follower = project.wait_until(lambda: follower_of(runner))
    runner.kill()
    project.wait_until(lambda: has_ended(follower))
    assert "Traceback" not in runner.output


def test_only_the_leaders_follows_and_nobody_where_no_app_asks(
    postgresql: None, project: Project
) -> None:
    leader = project.start("cron_run")
    project.wait_until(lambda: follower_of(leader))
    standby = project.start("cron_run")
    project.wait_until(lambda: CronEvent.objects.of_type("runner_started").count() == 2)
    assert follower_of(standby) is None
    os.kill(leader.pid, signal.SIGTERM)
    project.wait_until(lambda: follower_of(standby))
