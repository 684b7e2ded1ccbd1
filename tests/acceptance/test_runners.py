"""Several runners and the worker that carries one, as real processes."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from rqcron_events import clock
from rqcron_events.core.events.make import LOG_FORMAT
from rqcron_events.models import CronEvent, CronLease
from tests.processes import Project, has_ended

SECONDS = int(os.environ.get("RQCRON_TWO_RUNNERS_SECONDS", "15"))
"""RQCRON_TWO_RUNNERS_SECONDS=60 for the long run."""


def test_two_runners_decide_every_slot_once(project: Project):
    """I1 and I2: on ten one-second crons, with one of the two killed half-way."""
    names = [f"every-second-{number}" for number in range(10)]
    first = project.start("cron_run", TEST_APPS="tests.many_app")
    second = project.start("cron_run", TEST_APPS="tests.many_app")
    started = CronEvent.objects.of_type("runner_started")
    project.wait_until(lambda: started.count() == 2)
    fired = CronEvent.objects.of_type("slot_fired")
    project.wait_until(lambda: fired.count() >= SECONDS * 5, SECONDS + 60)
    leader = next(p for p in (first, second) if "leads" in p.output)
    leader.kill()
    position = CronEvent.objects.last().id
    after = fired.filter(id__gt=position)
    project.wait_until(lambda: after.count() >= SECONDS * 2, SECONDS + 60)
    (second if leader is first else first).stop()

    for name in names:
        covered: Counter[datetime] = Counter()
        for event in CronEvent.objects.for_cron(name).decisions():
            slot = datetime.fromisoformat(
                event.data.get("first") or event.scheduled_for.isoformat()
            )
            while slot <= event.scheduled_for:
                covered[slot] += 1
                slot += timedelta(seconds=1)
        assert set(covered.values()) == {1}, f"{name}: a slot was decided twice"
        span = (max(covered) - min(covered)).total_seconds()
        assert len(covered) == span + 1, f"{name}: a slot was left out"
        registered = CronEvent.objects.get(cron=name, type="cron_registered").occurred_at
        assert min(covered) - registered <= timedelta(seconds=1)


def test_the_runner_inside_a_worker_dies_with_it(project: Project):
    worker = project.start("cron_worker", "default", "low", "high")
    fired = CronEvent.objects.of_type("run_succeeded").for_cron("quick")
    project.wait_until(fired.exists)
    runner = worker.child("cron_run")
    worker.kill()
    project.wait_until(lambda: has_ended(runner))


def test_a_killed_runner_inside_a_worker_is_started_again(project: Project):
    worker = project.start("cron_worker", "default", "low", "high")
    started = CronEvent.objects.of_type("runner_started")
    project.wait_until(started.exists)
    worker.child("cron_run").kill()
    project.wait_until(lambda: started.count() == 2)


def test_sigterm_ends_worker_and_runner_cleanly(project: Project):
    worker = project.start("cron_worker", "default")
    project.wait_until(CronEvent.objects.of_type("run_succeeded").exists)
    assert worker.stop() == 0
    assert CronEvent.objects.of_type("runner_stopped").count() == 1
    assert worker.members() == []


def test_sigint_ends_a_runner_cleanly(project: Project):
    runner = project.start("cron_run")
    project.wait_until(CronEvent.objects.of_type("slot_fired").exists)
    runner.send_signal(signal.SIGINT)
    assert runner.wait(60) == 0
    assert CronEvent.objects.of_type("runner_stopped").count() == 1


def test_burst_does_what_is_due_and_ends(project: Project):
    assert project.run("cron_run", "--once").returncode == 0
    project.wait_until(lambda: _seconds_since_registration() > 1.5)
    done = project.run("cron_worker", "default", "--burst")
    assert done.returncode == 0, done.stderr
    assert CronEvent.objects.of_type("run_succeeded").for_cron("quick").exists()


def test_a_runner_that_meets_an_event_of_a_newer_release_steps_down(project: Project):
    """A rolling deploy: it says so once, and leaves the lease to a runner that understands."""
    runner = project.start("cron_run", TEST_APPS="tests.many_app")
    project.wait_until(CronEvent.objects.of_type("slot_fired").exists)
    _write("runner/new", "runner_started", cron="", data={"format": LOG_FORMAT + 1})
    _write("cron/new", "cron_renamed", cron="new", data={})
    project.wait_until(lambda: "stands by" in runner.output)
    leader = CronLease.objects.filter(name="leader", holder="")
    project.wait_until(leader.exists)
    assert "Event type 'cron_renamed' is unknown to this release" in runner.output
    assert runner.stop() == 0
    assert runner.output.count("stands by") == 1


def _write(stream: str, kind: str, *, cron: str, data: dict[str, Any]) -> None:
    """The first event of a stream, as another release may write it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rqcron_event (stream, version, type, schema_version, cron, reason, actor, "
            "occurred_at, data) VALUES (%s, 1, %s, 1, %s, '', '', %s, %s)",
            [stream, kind, cron, clock.now(), json.dumps(data)],
        )


def _seconds_since_registration() -> float:
    event = CronEvent.objects.filter(type="cron_registered").first()
    return (clock.now() - event.occurred_at).total_seconds()
