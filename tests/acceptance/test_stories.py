"""The stories of ``docs/stories.md``: what a team asks, answered by real processes' own log."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from rqcron_events import clock
from rqcron_events.execution.enqueuer import job_id
from rqcron_events.leadership.lease import Lease
from rqcron_events.models import CronEvent
from tests.processes import Project

DIGEST = timedelta(seconds=4)
TOO_LATE = timedelta(seconds=2)


@pytest.fixture
def team(project: Project, settings: Any) -> Project:
    """A project with the crons ``digest`` and ``billing``; a runner is lost after four seconds."""
    settings.RQCRON_LEASE_SECONDS = 2  # of this process
    project.environment |= {"TEST_APPS": "tests.stories_app", "RQCRON_TEST_LEASE_SECONDS": "2"}
    return project


def test_the_digest_did_not_go_out(team: Project):
    """Nobody was there to send it, and the log says from when to when."""
    worker = team.start("cron_worker", "default", "--name", "web-1")
    team.wait_until(events("digest", "run_succeeded").exists)
    worker.kill_session()
    slot = next_digest(clock.now())
    team.wait_until(lambda: clock.now() > slot + TOO_LATE)

    unwell = team.run("cron_health")
    assert unwell.returncode == 1
    assert "has been silent for" in unwell.stdout
    team.wait_until(lambda: Lease("").lost_runners())
    now = ask(team, "cron_explain", "digest", "--at", slot.isoformat())
    assert (now["verdict"], now["reason"]) == ("pending", "undecided")
    assert "no runner was alive from" in now["summary"]
    assert "Start cron_run or cron_worker" in now["summary"]

    team.start("cron_worker", "default", "--name", "web-2")
    team.wait_until(lost_runners().exists)
    team.wait_until(covering("digest", "slot_missed", slot).exists)
    answer = ask(team, "cron_explain", "digest", "--at", slot.isoformat())
    assert (answer["verdict"], answer["reason"]) == ("missed", "too_late")
    assert "no runner was alive from" in answer["summary"]
    lost = lost_runners().get()
    downtime = answer["downtime"]
    assert downtime["cause"] == "no_runner"
    assert downtime["since"] == lost.data["last_heartbeat"]
    assert when(downtime["since"]) < slot < when(downtime["until"])
    told_by = [e["id"] for e in answer["events"] if e["type"].startswith("runner_")]
    began = CronEvent.objects.get(type="runner_started", stream=lost.actor)
    assert told_by == sorted([lost.id, began.id])
    audited = ask(team, "cron_audit", "digest")
    assert audited["ok"]
    assert audited["totals"]["missed"] >= 1
    team.wait_until(lambda: events("digest", "run_succeeded").filter(occurred_at__gt=slot).exists())


def test_why_did_it_run_twice(team: Project, redis_connection: Redis):
    """A colleague asked for the second run; a second start of the first one was refused."""
    team.start("cron_worker", "default", "--name", "web-1")
    team.wait_until(events("digest", "run_succeeded").exists)
    first = events("digest", "run_succeeded").first()
    redis_connection.rpush("rq:queue:default", job_id(first.run_id))
    team.wait_until(events("digest", "start_refused").exists)
    asked = team.run("cron_rerun", str(first.run_id)[:8], "--by", "bob", "--reason", WHY)
    assert asked.returncode == 0, asked.stderr
    again = asked.stdout.strip()
    team.wait_until(events("digest", "run_succeeded").filter(run_id=again).exists)
    slot = events("digest", "slot_fired").get(run_id=first.run_id).scheduled_for

    runs = [row for row in ask(team, "cron_history", "digest") if when(row["slot"]) == slot]
    assert [(row["run_id"], row["trigger"], row["status"]) for row in runs] == [
        (again, "rerun", "succeeded"),
        (str(first.run_id), "slot", "succeeded"),
    ]
    answer = ask(team, "cron_explain", "digest", "--at", slot.isoformat())
    assert answer["verdict"] == "fired"
    assert "refused" in answer["summary"]
    assert "already succeeded" in answer["summary"]
    for named in ("bob", again[:8], "rerun", WHY):
        assert named in answer["summary"]
    (request,) = answer["requests"]
    assert (request["run_id"], request["actor"], request["reason"]) == (again, "bob", WHY)
    assert [step["step"] for step in answer["steps"]][-2:] == ["succeeded", "start_refused"]
    told = ask(team, "cron_explain", "--run", again)
    assert str(first.run_id)[:8] in told["summary"]
    assert "bob" in told["summary"]
    assert ask(team, "cron_audit", "digest")["ok"]


WHY = "three readers got nothing"


def test_who_stopped_the_billing_cron_and_what_did_it_miss(team: Project):
    """Ann, and here is why; each slot of the pause is on record."""
    team.start("cron_worker", "default", "--name", "web-1")
    team.wait_until(events("billing", "run_succeeded").exists)
    team.run("cron_pause", "billing", "--by", "ann", "--reason", "the bank changes its API")
    skipped = events("billing", "slot_skipped")
    team.wait_until(lambda: sum(event.data["count"] for event in skipped.all()) >= 2)
    team.run("cron_resume", "billing", "--by", "bob", "--reason", "the bank is done")
    resumed = events("billing", "cron_resumed").get().occurred_at
    team.wait_until(
        lambda: events("billing", "slot_fired").filter(occurred_at__gt=resumed).exists()
    )
    paused, ended = ask(
        team, "cron_events", "--cron", "billing", *types("cron_paused", "cron_resumed")
    )
    assert (paused["actor"], paused["reason"]) == ("ann", "the bank changes its API")
    assert (ended["actor"], ended["reason"]) == ("bob", "the bank is done")
    window = ("--since", paused["occurred_at"], "--until", ended["occurred_at"])

    missing = ask(team, "cron_events", "--cron", "billing", *types("slot_skipped"))
    audited = ask(team, "cron_audit", "billing", *window)
    assert audited["ok"]
    assert audited["totals"]["unaccounted"] == 0
    assert audited["totals"]["fired"] == 0
    assert audited["totals"]["skipped"] == sum(row["data"]["count"] for row in missing) >= 2
    answer = ask(team, "cron_explain", "billing", "--at", missing[0]["data"]["first"])
    assert (answer["verdict"], answer["reason"]) == ("skipped", "paused")
    assert "paused by ann" in answer["summary"]
    assert "the bank changes its API" in answer["summary"]
    assert "bob resumed it" in answer["summary"]
    start, end = when(paused["occurred_at"]), when(ended["occurred_at"])
    ran = [when(row["slot"]) for row in ask(team, "cron_history", "billing")]
    assert not [slot for slot in ran if start < slot < end]


def types(*names: str) -> list[str]:
    return [word for name in names for word in ("--type", name)]


def lost_runners():
    return CronEvent.objects.of_type("runner_lost")


def events(cron: str, *types: str):
    return CronEvent.objects.filter(cron=cron).of_type(*types).order_by("id")


def covering(cron: str, type_: str, slot: datetime):
    return events(cron, type_).filter(scheduled_for__gte=slot, data__first__lte=slot.isoformat())


def next_digest(after: datetime) -> datetime:
    return after + DIGEST - timedelta(seconds=after.timestamp() % DIGEST.total_seconds())


def ask(team: Project, *command: str) -> Any:
    done = team.run(*command, "--format", "json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def when(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
