"""What people do about events that cannot be read."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core import checks
from django.core.management import CommandError, call_command

from rqcron_events.core import codec
from rqcron_events.ledger import quarantine
from rqcron_events.models import CronEvent
from rqcron_events.queries.audit import audit
from rqcron_events.queries.health import health

MINUTE = timedelta(minutes=1)


@pytest.fixture
def runner(deploy, add):
    add("report", schedule="* * * * *")
    return deploy()


@pytest.fixture
def event_id(runner, clock) -> int:
    """Of an event that no release knows, in the cron's stream."""
    row = CronEvent(
        stream="cron/report", version=2, type="cron_painted", cron="report", occurred_at=clock.now
    )
    row.save()
    runner.tick()
    return row.id


def listed() -> list[dict[str, object]]:
    out = StringIO()
    call_command("cron_quarantine", "--format", "json", stdout=out)
    return json.loads(out.getvalue())


def warnings() -> list[checks.CheckMessage]:
    found = checks.run_checks(databases=["default"], include_deployment_checks=False)
    return [item for item in found if item.id == "rqcron_events.W001"]


def test_it_is_listed_and_every_place_that_people_look_at_names_it(event_id, capsys):
    [row] = listed()
    assert (row["event"], row["stream"], row["reader"]) == (event_id, "cron/report", "runner")
    assert f"Event {event_id} of cron/report" in warnings()[0].msg
    assert any(f"Event {event_id} of cron/report" in text for text in health().problems)
    assert [item.kind for item in audit("report").crons[0].findings] == ["unreadable"]
    call_command("cron_explain", "report")
    assert f"Event {event_id} of cron/report" in capsys.readouterr().err


def test_accepting_it_is_final_and_needs_a_reason(event_id, runner, clock):
    with pytest.raises(CommandError, match="--reason"):
        call_command("cron_quarantine", "--accept", event_id)
    call_command("cron_quarantine", "--accept", event_id, "--reason", "a joke", "--by", "ann")
    [event] = CronEvent.objects.of_type("event_accepted").events()
    assert (event.stream, event.actor, event.reason) == ("ledger", "ann", "a joke")
    assert event.data == {"event": event_id, "stream": "cron/report", "version": 2}
    clock.advance(MINUTE)
    runner.tick()
    assert CronEvent.objects.of_type("slot_fired").count() == 1
    assert (listed(), warnings(), health().problems, audit().ok) == ([], [], [], True)
    with pytest.raises(CommandError, match="is not set aside"):
        call_command("cron_quarantine", "--accept", event_id, "--reason", "again")


def test_a_retry_releases_what_this_release_can_read(event_id, monkeypatch):
    out = StringIO()
    call_command("cron_quarantine", "--retry", stdout=out)
    assert "0 of 1 can be read now." in out.getvalue()
    monkeypatch.setitem(codec._TYPES, "cron_painted", codec.EventType.CRON_RESUMED)
    call_command("cron_quarantine", "--retry", stdout=out)
    assert "1 of 1 can be read now." in out.getvalue()
    assert quarantine.quarantined() == []


def test_an_event_of_a_run_is_found_by_the_audit_too(runner, clock):
    clock.advance(MINUTE)
    runner.tick()
    fired = CronEvent.objects.of_type("slot_fired").get()
    head = CronEvent.objects.filter(stream=f"run/{fired.run_id}").count()
    CronEvent(
        stream=f"run/{fired.run_id}",
        version=head + 1,
        type="run_applauded",
        cron="report",
        run_id=fired.run_id,
        occurred_at=clock.now,
    ).save()
    runner.tick()
    assert [item.kind for item in audit("report").crons[0].findings] == ["unreadable"]
    clock.advance(timedelta(seconds=30))
    runner.reconcile_all()
    assert CronEvent.objects.filter(stream=f"run/{fired.run_id}").count() == head + 1
