"""Real processes: a runner that is killed while a receiver is down, and none at all."""

from __future__ import annotations

import json
from uuid import uuid4

from rqcron_projections.models import Checkpoint
from rqcron_projections.signals.models import AlertMessage

from rqcron_events import clock
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.ledger import store

from .conftest import SECRET


def test_an_alert_outlives_the_runner_and_is_told_once(project, hook, settings):
    receiver = {"kind": "webhook", "url": hook.url, "secret": SECRET}
    settings.RQCRON_ALERTS = {"receivers": {"hook": receiver}}
    project.environment["TEST_ALERTS"] = json.dumps(settings.RQCRON_ALERTS)
    runner = project.start("cron_run")
    project.wait_until(Checkpoint.objects.filter(name="alerts").exists)
    hook.answers = [500]
    run_id = uuid4()
    failed = Event(
        stream=run_stream(run_id), version=0, type=EventType.RUN_FAILED, cron="gone_report",
        run_id=run_id, attempt=1, reason="exception", occurred_at=clock.now(),
    )  # fmt: skip
    store.append_next([failed])
    project.wait_until(AlertMessage.objects.filter(attempts=1).exists)
    runner.kill_session()
    AlertMessage.objects.update(next_try_at=clock.now())
    project.run("cron_health")
    assert AlertMessage.objects.get(kind="failing").status == "sent"
    told = [alert for alert in hook.alerts if alert[0] == "failing"]
    assert told == [("failing", "gone_report", "opened")]


def test_who_decides_once_and_ends_tells_before_that(project, hook):
    receiver = {"kind": "webhook", "url": hook.url, "secret": SECRET}
    project.environment["TEST_ALERTS"] = json.dumps({"receivers": {"hook": receiver}})
    project.run("cron_run", "--once")  # alerts begin
    run_id = uuid4()
    failed = Event(
        stream=run_stream(run_id), version=0, type=EventType.RUN_FAILED, cron="gone_report",
        run_id=run_id, attempt=1, reason="exception", occurred_at=clock.now(),
    )  # fmt: skip
    store.append_next([failed])
    project.run("cron_run", "--once")
    assert ("failing", "gone_report", "opened") in hook.alerts


def test_cron_health_tells_that_no_runner_is_left_and_waits_for_the_receiver(
    project, hook, settings
):
    receiver = {"kind": "webhook", "url": hook.url, "secret": SECRET}
    rules = {"no_runner": {"seconds": 1}}
    project.environment["TEST_ALERTS"] = json.dumps(
        {"receivers": {"hook": receiver}, "rules": rules}
    )
    assert project.run("cron_health").returncode == 1
    assert (
        project.run("cron_health").returncode == 1
    )  # the seconds have passed since the first look
    assert project.run("cron_health").returncode == 1
    assert hook.alerts == [("no_runner", "", "opened")]
