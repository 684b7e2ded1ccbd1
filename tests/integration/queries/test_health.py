"""cron_health and the page for probes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client

from rqcron_events.core import codec
from rqcron_events.core.events import make
from rqcron_events.core.events.make import LOG_FORMAT
from rqcron_events.followers import Follower, followers
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, CronLease, CronSnapshot
from rqcron_events.queries.health import health
from rqcron_events.queries.log import late_follower
from rqcron_events.runner.following.steps import follow_all


def test_a_leading_runner_without_overdue_slots_is_healthy(deploy, add, clock):
    add("report", schedule="* * * * *")
    runner = deploy()
    found = health()
    assert found.ok, found.problems
    assert found.leader == runner.id
    assert 0 <= found.leader_seconds < 5
    assert found.spool_length == 0
    assert found.lag_seconds == 0
    assert set(found.projection_lag_events) == {"projections"}


def test_no_leader_is_a_problem(deploy, add):
    add("report", schedule="* * * * *")
    deploy().lease.release()
    assert health().problems == ["No runner leads. Start cron_worker or cron_run."]


def test_an_overdue_slot_is_a_problem_beyond_the_allowed_lag(deploy, add, clock):
    add("report", schedule="* * * * *")
    deploy()
    clock.advance(timedelta(minutes=3))
    assert health(max_lag_seconds=600).ok
    (problem,) = health(max_lag_seconds=60).problems
    assert "'report' has been due for 150 s" in problem


def test_the_command_exits_1_and_says_why(deploy, add, clock, capsys):
    add("report", schedule="* * * * *")
    deploy()
    call_command("cron_health")
    clock.advance(timedelta(minutes=3))
    with pytest.raises(SystemExit) as end:
        call_command("cron_health", "--format", "json")
    assert end.value.code == 1
    answer = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert answer["ok"] is False
    assert answer["oldest_undecided_cron"] == "report"


def test_the_command_says_the_same_to_a_person(deploy, add, clock, capsys):
    add("report", schedule="* * * * *")
    deploy()
    clock.advance(timedelta(minutes=1))
    call_command("cron_health")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "healthy"
    told = {line[2:24].strip(): line[24:] for line in lines[1:]}
    assert "last heartbeat 0" in told["leader"]
    assert told["oldest undecided slot"] == "2026-03-02 09:01:00 UTC of report, due for 30.0 s"
    assert told["spool"] == "events of 0 runs waiting in Redis"
    assert told["projections behind"].endswith(" events")


@pytest.fixture
def rolled_back(deploy, add, clock, monkeypatch):
    """The log has an event of a type that this release does not know."""
    add("report", schedule="* * * * *")
    deploy()
    CronSnapshot.objects.all().delete()
    started = make.runner_started(
        runner_id="newer",
        host="web-2",
        pid=1,
        crons=1,
        registry="",
        tzdata="",
        croniter="",
        schedule_reading=1,
        actor="runner/newer",
        at=clock.now,
    )
    store.append_next([replace(started, data={**started.data, "format": LOG_FORMAT + 1})])
    monkeypatch.delitem(codec._TYPES, "cron_registered")


def test_an_event_of_a_newer_release_is_a_problem(rolled_back, capsys):
    (problem,) = health().problems
    assert "Event type 'cron_registered' is unknown to this release. Upgrade" in problem
    for output_format in ("json", "table"):
        with pytest.raises(SystemExit) as end:
            call_command("cron_health", "--format", output_format)
        assert end.value.code == 1
    output = capsys.readouterr().out
    answer = json.loads(output[output.index("{") : output.index("\n}") + 2])
    assert (answer["ok"], answer["problems"], answer["lag_seconds"]) == (False, [problem], None)
    assert "oldest undecided slot unknown" in " ".join(output.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("cron_explain", "report"),
        ("cron_events",),
        ("cron_audit", "report"),
        ("cron_list", "--at", "now"),
        ("cron_replay",),
        ("cron_reconcile",),
        ("cron_trigger", "report"),
    ],
)
def test_a_command_that_meets_an_event_of_a_newer_release_says_so(rolled_back, arguments):
    with pytest.raises(
        CommandError, match=r"'cron_registered' is unknown to this release\. Upgrade"
    ):
        call_command(*arguments)


def test_the_page_is_closed_until_it_is_opened(deploy, add, settings):
    add("report", schedule="* * * * *")
    deploy()
    assert Client().get("/cron-health/").status_code == 404
    settings.RQCRON_HEALTH_VIEW = True
    response = Client().get("/cron-health/")
    assert (response.status_code, response.json()["ok"]) == (200, True)
    assert Client().post("/cron-health/").status_code == 405


def test_a_clock_behind_the_log_is_a_problem(deploy, add, clock):
    """A runner with that clock decides nothing, which would look like a quiet night."""
    add("report", schedule="* * * * *")
    deploy()
    clock.advance(-timedelta(hours=1))
    (problem,) = health().problems
    assert "decided up to 3600 s in the future" in problem
    assert "cron_rewind" in problem


def test_clocks_that_differ_a_little_are_a_warning(deploy, add, monkeypatch, capsys):
    add("report", schedule="* * * * *")
    deploy()
    monkeypatch.setattr("rqcron_events.leadership.clock_skew.skew_seconds", lambda _: 5.0)
    monkeypatch.setattr("rqcron_events.queries.clocks.skew_seconds", lambda _: 1.0)
    told = health()
    assert told.ok
    assert told.to_data()["clock"] == {
        "database_skew_seconds": 5.0,
        "redis_skew_seconds": 4.0,
        "runner_skew_seconds": {},
    }
    assert told.to_data()["warnings"] == [
        "This machine's clock is 5.0 s ahead of the database's.",
        "Redis' clock is 4.0 s ahead of the database's.",
    ]
    call_command("cron_health")
    output = capsys.readouterr().out
    assert "warning: Redis' clock is 4.0 s ahead" in output
    assert "this machine +5.000 s, Redis +4.000 s" in output


def test_a_leader_of_the_future_is_a_problem(deploy, add):
    add("report", schedule="* * * * *")
    deploy()
    CronLease.objects.update(renewed_at=Now() + timedelta(hours=1))
    (problem,) = health().problems
    assert "in the future of the database's clock, which was set back" in problem


def test_health_asks_as_many_questions_of_a_thousand_crons_as_of_one(
    deploy, add, django_assert_max_num_queries
):
    for number in range(40):
        add(f"report{number}", schedule="* * * * *")
    deploy()
    # Inside a transaction, as here, each bound of waiting is taken back by two further statements.
    with django_assert_max_num_queries(95):
        assert health().ok


def test_a_part_that_cannot_be_looked_at_is_a_problem_and_hides_nothing(
    deploy, add, clock, monkeypatch, settings
):
    def damaged() -> int:
        raise ValueError("not an event")

    add("report", schedule="* * * * *")
    deploy()
    clock.advance(timedelta(minutes=3))
    monkeypatch.setitem(followers, "damaged", Follower(catch_up=damaged, position=damaged))
    settings.RQCRON_HEALTH_VIEW = True
    response = Client().get("/cron-health/")
    assert response.status_code == 503
    overdue, unseen = response.json()["problems"]
    assert "'report' has been due" in overdue
    assert unseen == "The followers cannot be checked: ValueError: not an event."


def test_a_follower_that_falls_behind_is_named_while_a_runner_leads(
    deploy, add, clock, monkeypatch
):
    add("report", schedule="* * * * *")
    runner = deploy()
    follow_all()
    assert health().warnings == []
    head = CronEvent.objects.last().id
    monkeypatch.setitem(followers, "index", Follower(catch_up=int, position=lambda: head - 1))
    assert health().warnings == [], "it has a minute"
    monkeypatch.setattr(late_follower, "FOLLOWER_LAG_MAX", timedelta(days=-36_500))  # by any clock
    found = health()
    assert found.ok
    (warning,) = found.warnings
    assert warning.startswith("Follower 'index' is 1 event behind; the oldest has waited for ")
    runner.lease.release()
    assert not any("index" in text for text in health().warnings), "nobody is to follow"


def test_a_follower_that_is_ahead_of_the_log_is_a_problem(deploy, add, monkeypatch):
    add("report", schedule="* * * * *")
    deploy()
    ahead = CronEvent.objects.last().id + 1_000
    monkeypatch.setitem(followers, "index", Follower(catch_up=int, position=lambda: ahead))
    (problem,) = health().problems
    assert problem.startswith("Follower index: ")
