"""What other schedulers did with what people wrote and changed; ``docs/field-reports.md``."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from rq import SimpleWorker

from rqcron_events import audit, checks, explain
from rqcron_events import registry as registry_module
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.testing import assert_fired, assert_not_fired

MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("options", "value"),
    [
        pytest.param({"timezone": "UTC+3"}, "'UTC+3'", id="taskiq-669"),
        pytest.param({"timezone": "US/Nowhere"}, "'US/Nowhere'", id="healthchecks-1210"),
        pytest.param({"schedule": "0 0 31 2 *"}, "'0 0 31 2 *'", id="croniter-141"),
        pytest.param({"schedule": "@reboot"}, "'@reboot'", id="oban-web-reboot"),
        pytest.param({"schedule": "0 0 1--100000000 * *"}, "1--100000000", id="oban-web-range"),
        pytest.param({"schedule": "0 0 LW * *"}, "'LW'", id="cronsim-1"),
        pytest.param({"schedule": "0 15 10 * * ? 2005"}, "7 fields", id="kestra-9945"),
        pytest.param({"name": "x" * 201}, "at most 200 characters", id="kubesphere-1911"),
    ],
)
def test_a_wrong_cron_is_named_by_check_and_the_others_run(
    crons, add, deploy, clock, monkeypatch, options, value
):
    """Each of these ended a scheduler, a page or an exporter, or took other crons with it."""
    monkeypatch.setattr(registry_module, "registry", crons)
    add("first", schedule="* * * * *")
    crons.add(options.get("name", "wrong"), print, options)
    crons.add("last", lambda: None, {"schedule": "* * * * *"})
    [message] = [item for item in checks.check_registry() if item.id == "rqcron_events.E001"]
    assert value in message.msg
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    for name in ("first", "last"):
        assert_fired(name, slot("09:01"))


def test_who_paused_a_cron_why_and_until_when_is_told(add, deploy, clock):
    """django-celery-beat 357, airflow 16349, concourse 4917, dagster 16963: nobody knew."""
    add("report", schedule="* * * * *")
    runner = deploy()
    controls.pause("report", reason="the server moves", until=slot("09:30"), by="ann")
    clock.advance(MINUTE)
    runner.tick()
    for at in ("09:01", "09:20"):  # one that was skipped, one that will be
        told = explain("report", slot(at)).summary
        assert "ann" in told
        assert "the server moves" in told
        assert "until 2026-03-02 09:30:00 UTC" in told
    [event] = json.loads(printed("cron_events", "--type", "cron_paused", "--format", "json"))
    assert (event["actor"], event["reason"]) == ("ann", "the server moves")
    assert datetime.fromisoformat(event["data"]["until"]) == slot("09:30")


def test_a_pause_and_its_end_are_different_events(add, deploy, clock):
    """airflow 55074 and 46004: the audit log said the same for both."""
    add("report", schedule="* * * * *")
    deploy()
    controls.pause("report", by="ann")
    controls.resume("report", by="bob")
    controls.pause_all(by="cid")
    controls.resume_all(by="dan")
    events = CronEvent.objects.order_by("id").filter(actor__in=("ann", "bob", "cid", "dan"))
    assert [(event.actor, event.type) for event in events] == [
        ("ann", "cron_paused"),
        ("bob", "cron_resumed"),
        ("cid", "all_paused"),
        ("dan", "all_resumed"),
    ]


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_the_end_of_a_pause_fires_nothing_of_it(add, deploy, clock, catch_up):
    """velero 6517, uzi 396, dagster 7010: to resume fired the slots of the pause."""
    add("report", schedule="*/10 * * * *", catch_up=catch_up)
    runner = deploy()
    controls.pause("report", by="ann")
    runner.lease.release()  # nobody decides meanwhile
    clock.set(slot("10:05"))
    controls.resume("report", by="ann")
    runner = deploy()
    clock.set(slot("10:10:01"))
    runner.tick()
    fired = CronEvent.objects.of_type("slot_fired")
    assert [event.scheduled_for for event in fired] == [slot("10:10")]
    assert assert_not_fired("report", slot("09:10"), reason="paused").data["count"] == 6


NAMES = [
    "a/b.c#d é 中",
    "x" * 200,
    "תקציר יומי",
    'it\'s a "name" with `quotes` & <tags>',
    "100% {of} $it; DROP TABLE",
    "../up?q=1",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_a_name_works_everywhere(add, crons, deploy, clock, monkeypatch, redis_connection, name):
    """sidekiq-cron 452, sidekiq 5014, dkron 604, Oban Web: such names broke links and pages."""
    from django_rq import get_worker

    add(name, schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    get_worker("default", worker_class=SimpleWorker).work(burst=True)
    assert explain(name, slot("09:01")).run.status == "succeeded"
    run_id = str(explain(name, slot("09:01")).run.id)

    for command in ("cron_pause", "cron_resume"):
        assert name in printed(command, name, "--by", "ann")
    assert printed("cron_trigger", name, "--by", "ann")
    assert printed("cron_rerun", run_id, "--by", "ann")
    [row] = json.loads(printed("cron_list", name, "--format", "json"))
    assert (row["name"], row["status"]) == (name, "succeeding")
    rows = json.loads(printed("cron_history", name, "--format", "json"))
    assert {row["cron"] for row in rows} == {name}
    assert len(rows) == 3
    events = json.loads(printed("cron_events", "--cron", name, "--format", "json"))
    assert {event["cron"] for event in events} == {name}
    report = json.loads(
        printed("cron_report", "--cron", name, "--since", "2026-03-01", "--format", "json")
    )
    assert [row["cron"] for row in report["rows"]] == [name]
    planned = printed("cron_backfill", name, "--from", "2026-03-02T08:00Z", "--to",
                      "2026-03-02T08:05Z", "--dry-run", "--format", "json")  # fmt: skip
    assert len(json.loads(planned)) == 5
    told = json.loads(
        printed("cron_explain", name, "--at", "2026-03-02T09:01Z", "--format", "json")
    )
    assert (told["cron"], told["verdict"]) == (name, "fired")
    assert json.loads(printed("cron_audit", name, "--format", "json"))["crons"][0]["cron"] == name
    assert audit(name).ok
