"""Real processes: a runner that is killed between the answer of a monitor and its note of it."""

from __future__ import annotations

import json
from uuid import uuid4

from rqcron_projections.models import Checkpoint
from rqcron_projections.signals.models import CheckIn, CheckInMonitor

from rqcron_events import clock
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.ledger import store

from .stand_ins import PING_KEY


def test_what_was_on_its_way_when_the_process_was_killed_is_told_twice_and_nothing_else(
    project, service
):
    monitor = {"kind": "healthchecks", "url": f"{service.root}/hc", "ping_key": PING_KEY}
    monitor |= {"create": True, "crons": ["gone_*"]}
    project.environment["TEST_CHECKINS"] = json.dumps({"hc": monitor})
    runner = project.start("cron_run")
    project.wait_until(Checkpoint.objects.filter(name="checkins").exists)
    service.answers = [3, 3]
    crons = ("gone_a", "gone_b")
    for cron in crons:
        run_id = uuid4()
        store.append(
            [
                Event(
                    stream=run_stream(run_id), version=version, type=kind, cron=cron, attempt=1,
                    run_id=run_id, occurred_at=clock.now(),
                )
                for version, kind in enumerate((EventType.RUN_STARTED, EventType.RUN_FAILED), 1)
            ]
        )  # fmt: skip
    project.wait_until(lambda: service.heard)
    runner.kill_session()
    on_their_way = {item.check for item in service.heard}
    service.released.set()
    service.answers = []
    CheckInMonitor.objects.update(claimed_until=clock.now())
    project.start("cron_run")
    project.wait_until(lambda: not CheckIn.objects.filter(status="waiting").exists())
    for cron in crons:
        twice = cron in on_their_way
        assert service.states(cron) == ["start", *["start"] * twice, "fail"]
    assert max(service.counts().values()) == 2


def test_who_decides_once_and_ends_checks_in_before_that(project, service):
    monitor = {"kind": "healthchecks", "url": f"{service.root}/hc", "ping_key": PING_KEY}
    monitor |= {"create": True, "crons": ["gone_*"]}
    project.environment["TEST_CHECKINS"] = json.dumps({"hc": monitor})
    project.run("cron_run", "--once")  # check-ins begin
    run_id = uuid4()
    started = Event(
        stream=run_stream(run_id), version=1, type=EventType.RUN_STARTED, cron="gone_a", attempt=1,
        run_id=run_id, occurred_at=clock.now(),
    )  # fmt: skip
    store.append([started])
    project.run("cron_run", "--once")
    assert service.states("gone_a") == ["start"]


def test_a_run_whose_work_horse_is_killed_has_a_begin_and_an_end(project, service):
    monitor = {"kind": "sentry", "dsn": service.dsn, "crons": ["killed"]}
    hc = {"kind": "healthchecks", "url": f"{service.root}/hc", "ping_key": PING_KEY}
    hc |= {"create": True, "crons": ["killed", "declines"], "per_minute": 1_000}
    project.environment["TEST_CHECKINS"] = json.dumps({"sentry": monitor, "hc": hc})
    project.start("cron_worker", "default")

    def of_first_run(check: str) -> list[str]:
        """Of one that began before check-ins did, only its end is told."""
        heard = [item for item in service.heard if item.check == check]
        begun = [item.run_id for item in heard if item.state == "start"]
        return [item.state for item in heard if item.run_id in begun[:1]]

    project.wait_until(lambda: min(len(of_first_run("killed")), len(of_first_run("declines"))) >= 2)
    assert of_first_run("killed") == ["start", "fail"]
    assert of_first_run("declines") == ["start", "success"]
    assert not [item for item in service.heard if "check_in_id" in item.data]  # every 7 s
