"""Machines whose clocks disagree: real processes, each with a clock of its own (libfaketime)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils.timezone import now

from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.faketime import WrongClock, wrong_clock  # noqa: F401 - a fixture
from tests.processes import Process, Project

DAY = 86_400
pytestmark = pytest.mark.usefixtures("postgresql")
decided = CronEvent.objects.filter(type__in=("slot_fired", "slot_skipped", "slot_missed"))
skewed = CronEvent.objects.filter(type="clock_skewed")
agrees = CronEvent.objects.filter(type="clock_agrees")


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, whose clock is that of the process."""


def health(project: Project) -> tuple[int, dict[str, Any]]:
    told = project.run("cron_health", "--format", "json")
    return told.returncode, json.loads(told.stdout)


def start_slow_run(project: Project, **environment: str) -> tuple[Process, str]:
    """A worker that is in the middle of a function of five seconds; the run's id."""
    assert project.run("cron_run", "--once").returncode == 0
    worker = project.start("rqworker", "low", **environment)
    run_id = str(controls.trigger("slow"))
    started = CronEvent.objects.of_type("run_started").filter(run_id=run_id)
    project.wait_until(started.exists)
    return worker, run_id


def story(run_id: str) -> list[str]:
    rows = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    return list(rows.values_list("type", flat=True))


def test_a_clock_a_day_ahead_for_a_while_leaves_nothing_decided_in_the_future(
    project: Project,
    wrong_clock: WrongClock,  # noqa: F811
):
    runner = project.start("cron_run", **wrong_clock.environment)
    project.wait_until(lambda: decided.filter(cron="quick").count() >= 2)

    wrong_clock.set(DAY)
    event = project.wait_until(skewed.first)
    assert abs(event.data["database_skew_seconds"] - DAY) < 5
    assert event.occurred_at < now() + timedelta(minutes=1)
    code, told = health(project)
    assert code == 1
    assert any(
        "The clock of runner" in problem and "ahead" in problem for problem in told["problems"]
    )
    (seconds,) = told["clock"]["runner_skew_seconds"].values()
    assert abs(seconds - DAY) < 5
    before = decided.count()

    wrong_clock.set(0)
    project.wait_until(agrees.exists)
    project.wait_until(lambda: decided.count() > before)
    assert runner.stop() == 0
    assert not decided.filter(scheduled_for__gt=Now()).exists()
    said = CronEvent.objects.exclude(stream__startswith="run/")
    assert not said.filter(occurred_at__gt=Now()).exists()
    assert "decides nothing until" in runner.output
    audit = project.run("cron_audit")
    assert audit.returncode == 0, audit.stdout


def test_a_runner_whose_clock_is_wrong_lets_another_lead(
    project: Project,
    wrong_clock: WrongClock,  # noqa: F811
):
    wrong_clock.set(100)
    wrong = project.start("cron_run", **wrong_clock.environment)
    project.wait_until(skewed.exists)
    assert not CronEvent.objects.of_type("cron_registered").exists()
    right = project.start("cron_run")
    project.wait_until(lambda: decided.filter(cron="quick").count() >= 2)
    assert decided.values("actor").distinct().count() == 1
    assert wrong.poll() is None and "This runner leads" not in wrong.output
    assert "This runner leads" in right.output


def test_once_refuses_to_decide_by_a_wrong_clock(
    project: Project,
    wrong_clock: WrongClock,  # noqa: F811
):
    wrong_clock.set(-DAY)
    told = project.run("cron_run", "--once", **wrong_clock.environment)
    assert told.returncode == 1
    assert "This machine's clock is 86,400.0 s behind the database's" in told.stderr
    assert not CronEvent.objects.exists()


def test_a_machine_ahead_does_not_give_up_a_living_job(
    project: Project,
    wrong_clock: WrongClock,  # noqa: F811
):
    _, run_id = start_slow_run(project)
    wrong_clock.set(300)
    told = project.run("cron_reconcile", **wrong_clock.environment)
    assert told.returncode == 0, told.stderr
    succeeded = CronEvent.objects.of_type("run_succeeded").filter(run_id=run_id)
    project.wait_until(succeeded.exists)
    assert story(run_id) == ["run_enqueued", "run_started", "run_succeeded"]


def test_a_worker_that_is_behind_keeps_its_living_job(
    project: Project,
    wrong_clock: WrongClock,  # noqa: F811
):
    wrong_clock.set(-300)
    _, run_id = start_slow_run(project, **wrong_clock.environment)
    assert project.run("cron_reconcile").returncode == 0
    succeeded = CronEvent.objects.of_type("run_succeeded").filter(run_id=run_id)
    project.wait_until(succeeded.exists)
    assert story(run_id) == ["run_enqueued", "run_started", "run_succeeded"]


def test_rqs_own_clean_up_by_a_wrong_clock_ends_no_run(
    project: Project,
    redis_connection: Any,
):
    """As an ``rqworker`` on a machine that is ahead does it, without asking anybody."""
    from rq.queue import Queue
    from rq.registry import StartedJobRegistry

    _, run_id = start_slow_run(project)
    queue = Queue("low", connection=redis_connection)
    StartedJobRegistry(queue=queue).cleanup(now().timestamp() + 1_000)
    assert project.run("cron_reconcile").returncode == 0
    succeeded = CronEvent.objects.of_type("run_succeeded").filter(run_id=run_id)
    project.wait_until(succeeded.exists)
    assert story(run_id) == ["run_enqueued", "run_started", "run_succeeded"]
