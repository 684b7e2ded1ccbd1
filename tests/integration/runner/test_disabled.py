"""``enabled=False`` and ``RQCRON_ENABLED``, from the deploy to what every answer says of it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from rqcron_projections.replay import rebuild

from rqcron_events.ledger.cron_states import state_of
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain
from rqcron_events.queries.health import health
from rqcron_events.testing import assert_fired, assert_not_fired

MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def printed(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def listed() -> dict[str, Any]:
    (row,) = json.loads(printed("cron_list", "--format", "json")[0])
    return row


@pytest.fixture
def minutes(deploy, clock):
    """``minutes(3)``: deploy what the code is now, and let that many pass."""

    def pass_by(count: int) -> None:
        runner = deploy()
        for _ in range(count):
            clock.advance(MINUTE)
            runner.tick()

    return pass_by


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_a_deploy_disables_a_cron_and_another_one_brings_it_back(add, minutes, clock, catch_up):
    add("report", schedule="* * * * *", catch_up=catch_up)
    minutes(1)
    add("report", schedule="* * * * *", catch_up=catch_up, enabled=False)
    minutes(2)
    clock.advance(5 * MINUTE)  # no runner decides, and the next one has other code
    add("report", schedule="* * * * *", catch_up=catch_up)
    minutes(1)
    fired = CronEvent.objects.of_type("slot_fired")
    assert [event.scheduled_for for event in fired] == [slot("09:01"), slot("09:09")]
    skipped = CronEvent.objects.of_type("slot_skipped").order_by("id")
    assert {event.reason for event in skipped} == {"disabled"}
    assert [event.data["count"] for event in skipped] == [1, 1, 5]
    found = audit()
    assert found.ok
    assert (found.totals.expected, found.totals.skipped, found.totals.fired) == (9, 7, 2)
    (change,) = CronEvent.objects.of_type("cron_changed").order_by("id")[:1]
    assert change.data["changes"] == {"disabled": [None, "enabled=False"]}


def test_explain_says_since_when_and_by_what(add, minutes, settings):
    settings.RQCRON_ENABLED = {"*": False}
    add("report", schedule="* * * * *")
    minutes(1)
    past, ahead = explain("report", slot("09:01")), explain("report", slot("09:05"))
    assert (past.verdict, past.reason) == ("skipped", "disabled")
    assert past.summary == (
        "report was skipped at 2026-03-02 09:01:00 UTC: it was disabled by RQCRON_ENABLED since "
        "2026-03-02 09:00:30 UTC."
    )
    assert (ahead.verdict, ahead.reason) == ("pending", "disabled")
    assert ahead.summary == (
        "report is due at 2026-03-02 09:05:00 UTC, but it is disabled by RQCRON_ENABLED since "
        "2026-03-02 09:00:30 UTC, so this slot will be skipped unless a deploy enables it before."
    )


def test_list_health_report_and_the_views_know_it(add, minutes):
    add("report", schedule="* * * * *", enabled=False)
    minutes(2)
    row = listed()
    assert (row["status"], row["next_slot"], row["skipped_count"]) == ("disabled", None, 2)
    told = "'report' is disabled by enabled=False since 2026-03-02 09:00:30 UTC"
    assert told in row["attention"]
    found = health()
    assert found.ok
    assert any(told in warning for warning in found.warnings)
    text, _ = printed("cron_report", "--since", "2026-03-01", "--format", "csv")
    (figures,) = csv.DictReader(io.StringIO(text))
    assert (figures["skipped_disabled"], figures["skipped"]) == ("2", "2")
    with connection.cursor() as cursor:
        cursor.execute("SELECT skipped, skipped_disabled, missed_decision_lost FROM rqcron_day_v")
        assert [tuple(map(int, values)) for values in cursor.fetchall()] == [(2, 2, 0)]


def test_no_success_is_wanted_of_a_disabled_cron_and_its_time_begins_anew(add, minutes, clock):
    options = {"schedule": "* * * * *", "max_age": timedelta(seconds=90)}
    add("report", **options, enabled=False)
    minutes(4)
    assert health().ok
    add("report", **options)
    minutes(1)
    assert not any("no success" in problem for problem in health().problems)
    minutes(1)
    assert any("no success for 2 min" in problem for problem in health().problems)


def test_people_may_start_a_disabled_cron_and_are_told(
    add, minutes, redis_connection, django_capture_on_commit_callbacks
):
    add("report", schedule="* * * * *", enabled=False)
    minutes(1)
    with django_capture_on_commit_callbacks(execute=True):
        out, err = printed("cron_trigger", "report", "--by", "ann")
    (asked,) = CronEvent.objects.of_type("run_requested")
    short = str(asked.run_id)[:8]
    assert err.splitlines() == [
        f"Run {short} is requested. cron_explain --run {short} tells what becomes of it.",
        "report is disabled by enabled=False since 2026-03-02 09:00:30 UTC; this run is made all "
        "the same.",
    ]
    assert out.strip() == str(asked.run_id)
    assert CronEvent.objects.of_type("run_enqueued").count() == 1


def test_a_run_that_waits_already_is_left_alone(add, minutes, redis_connection):
    from django_rq import get_worker
    from rq import SimpleWorker

    add("report", schedule="* * * * *")
    minutes(1)
    add("report", schedule="* * * * *", enabled=False)
    minutes(1)
    get_worker("default", worker_class=SimpleWorker).work(burst=True)
    assert explain("report", slot("09:01")).run.status == "succeeded"
    assert_not_fired("report", slot("09:02"), reason="disabled")


def test_a_rebuild_and_the_past_say_the_same(add, minutes):
    add("report", schedule="* * * * *", enabled=False)
    minutes(2)
    before = listed()
    add("report", schedule="* * * * *")
    minutes(1)
    (then,) = json.loads(
        printed("cron_list", "--at", "2026-03-02T09:02:15Z", "--format", "json")[0]
    )
    assert then["status"] == before["status"] == "disabled"
    assert listed()["status"] == "new"
    assert rebuild.check() == []
    assert_fired("report", slot("09:03"))


def test_a_pause_of_a_disabled_cron_waits_behind_it(add, minutes):
    add("report", schedule="* * * * *", enabled=False)
    minutes(1)
    controls.pause("report", reason="move", by="ann", until=slot("09:02:45"))
    assert listed()["status"] == "disabled"
    assert state_of("report").current.disabled.since == slot("09:00:30")
    minutes(2)
    row = listed()
    assert (row["status"], row["paused_at"]) == ("disabled", None)
    assert_not_fired("report", slot("09:02"), reason="disabled")
