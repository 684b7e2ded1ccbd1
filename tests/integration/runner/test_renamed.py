"""``renamed_from=``: a cron gets another name, and goes on as if nothing had happened."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_rq import get_worker
from rq import SimpleWorker
from rqcron_projections.replay import rebuild

from rqcron_events import registry as registry_module
from rqcron_events.checks import check_renames
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.ledger.cron_states import state_of
from rqcron_events.ledger.lookup import stored_name
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.operations.cancel import cancel_queued
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain, explain_run
from rqcron_events.queries.health import health
from rqcron_events.runner.runner import Runner
from rqcron_events.testing import assert_fired, assert_not_fired

MINUTE = timedelta(minutes=1)
EACH_MINUTE = {"schedule": "* * * * *"}


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def told(*arguments: str) -> Any:
    return json.loads(printed(*arguments, "--format", "json"))


def fired() -> list[datetime | None]:
    events = CronEvent.objects.of_type("slot_fired").order_by("id")
    return [event.scheduled_for for event in events]


def types() -> list[str]:
    return [event.type for event in CronEvent.objects.for_cron("report").order_by("id")]


def work() -> None:
    get_worker("default", worker_class=SimpleWorker).work(burst=True)


@pytest.fixture
def pass_by(clock):
    """``pass_by(runner, 3)``: that many minutes, of which the runner decides each."""

    def minutes(runner, count: int) -> None:
        for _ in range(count):
            clock.advance(MINUTE)
            runner.tick()

    return minutes


@pytest.fixture
def rename(crons, add):
    """``rename("digest", "report")``: in the code, from now on."""

    def other_code(name: str, former: str = "", **options: Any) -> None:
        crons.crons.clear()
        crons.renamed_from.clear()
        add(
            name,
            **(options or EACH_MINUTE),
            **({"renamed_from": former} if former else {}),
        )

    return other_code


@pytest.fixture
def renamed(add, deploy, rename, pass_by):
    """Two minutes as ``report``, and two as ``digest``."""
    add("report", **EACH_MINUTE)
    pass_by(deploy(), 2)
    rename("digest", "report")
    runner = deploy()
    pass_by(runner, 2)
    return runner


def test_a_deploy_that_renames_a_cron_fires_each_slot_once(renamed):
    assert fired() == [slot("09:01"), slot("09:02"), slot("09:03"), slot("09:04")]
    (change,) = CronEvent.objects.of_type("cron_changed")
    assert change.cron == "report"
    assert change.data["changes"]["names"] == [None, ["report", "digest"]]
    assert not CronEvent.objects.of_type("cron_retired").exists()
    found = audit()
    assert found.ok
    assert [item.cron for item in found.crons] == ["digest"]
    assert (found.totals.expected, found.totals.fired) == (4, 4)


def test_slots_keep_their_instants_and_runs_their_ids(add, deploy, rename, clock):
    daily = {"schedule": "H H * * *", "jitter": timedelta(minutes=5)}
    add("report", **daily)
    deploy()
    before = state_of("report").definition
    rename("digest", "report", **daily)
    deploy()
    after = state_of("report").definition
    assert before.schedule.next_after(clock.now) == after.schedule.next_after(clock.now)
    assert before.delay(slot("09:05")) == after.delay(slot("09:05"))


def test_runs_of_both_names_have_one_id_for_a_slot(renamed):
    runs = CronEvent.objects.of_type("slot_fired").values_list("run_id", "scheduled_for")
    assert all(run_id == run_id_for_slot("report", at) for run_id, at in runs)


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_slots_of_a_downtime_across_the_rename_are_caught_up_once(
    add, deploy, rename, pass_by, clock, catch_up
):
    options = {**EACH_MINUTE, "catch_up": catch_up}
    add("report", **options)
    pass_by(deploy(), 1)
    clock.advance(3 * MINUTE)
    rename("digest", "report", **options)
    deploy()
    late = [slot("09:02"), slot("09:03"), slot("09:04")]
    assert fired() == [slot("09:01"), *(late if catch_up == "all" else late[2:])]
    assert audit().ok
    assert audit().totals.expected == 4


def test_a_pause_is_carried_over_and_can_be_ended_by_either_name(
    add, deploy, rename, pass_by, clock
):
    add("report", **EACH_MINUTE)
    pass_by(deploy(), 1)
    controls.pause("report", reason="move", by="ann")
    rename("digest", "report")
    runner = deploy()
    pass_by(runner, 1)
    assert_not_fired("digest", slot("09:02"), reason="paused")
    assert "'digest' is paused by ann" in " ".join(health(cron="digest").warnings)
    assert controls.resume("digest")
    pass_by(runner, 1)
    assert_fired("digest", slot("09:03"))
    controls.pause("report", by="ann")
    assert state_of("report").current.pause is not None


def test_a_run_that_is_open_under_the_old_name_counts_as_active(
    add, deploy, rename, pass_by, redis_connection
):
    options = {**EACH_MINUTE, "overlap": "skip"}
    add("report", **options)
    pass_by(deploy(), 1)
    rename("digest", "report", **options)
    runner = deploy()
    pass_by(runner, 1)
    assert_not_fired("digest", slot("09:02"), reason="overlap")
    work()  # by code that has the new name only
    assert explain("digest", slot("09:01")).run.status == "succeeded"
    pass_by(runner, 1)
    assert_fired("digest", slot("09:03"))


def test_workers_of_old_and_of_new_code_run_jobs_of_either_name(
    add, deploy, rename, pass_by, redis_connection
):
    add("report", **EACH_MINUTE)
    pass_by(deploy(), 1)
    rename("digest", "report")
    pass_by(deploy(), 1)
    rename("report")
    work()
    assert explain("digest", slot("09:01")).run.status == "succeeded"
    assert explain("digest", slot("09:02")).run.status == "succeeded"


def test_a_worker_needs_renamed_from_for_jobs_of_before_only(
    renamed, rename, pass_by, redis_connection
):
    work()
    rename("digest")
    pass_by(renamed, 1)
    work()
    assert explain("digest", slot("09:05")).run.status == "succeeded"


def test_renamed_from_can_be_left_out_after_the_deploy(renamed, rename, deploy, pass_by):
    before = types()
    rename("digest")
    runner = deploy()
    assert types() == before
    pass_by(runner, 1)
    assert_fired("digest", slot("09:05"))


def test_an_old_runner_that_still_leads_goes_on_by_the_new_definition(
    add, crons, deploy, rename, pass_by, clock
):
    add("report", **EACH_MINUTE)
    old = deploy()
    pass_by(old, 1)
    rename("digest", "report")
    new = Runner()
    new.start()  # a standby, which registers
    assert "cron_changed" in types()
    rename("report")  # what the old process has in memory
    pass_by(old, 2)
    assert types().count("cron_changed") == 1
    assert fired() == [slot("09:01"), slot("09:02"), slot("09:03")]
    old.lease.release()
    rename("digest", "report")
    pass_by(new, 1)
    assert fired()[-1] == slot("09:04")
    assert audit().ok


def test_a_rollback_gives_the_old_name_back(renamed, rename, deploy, pass_by):
    renamed.presence.stopped()
    rename("report")
    runner = deploy()
    pass_by(runner, 2)
    assert fired() == [slot(f"09:0{minute}") for minute in range(1, 7)]
    assert "cron_retired" not in types()
    assert state_of("report").present_name == "report"
    assert stored_name("digest") == "report"
    runner.presence.stopped()
    rename("digest", "report")
    deploy()
    assert state_of("report").definition.names == ("report", "digest")
    assert audit().ok


def test_renamed_twice_and_back_by_one_release(renamed, rename, deploy, pass_by):
    rename("summary", "digest")
    runner = deploy()
    assert state_of("report").definition.names == ("report", "digest", "summary")
    runner.presence.stopped()
    rename("digest")  # a release that had removed renamed_from already
    pass_by(deploy(), 1)
    assert state_of("report").present_name == "digest"
    assert len(CronEvent.objects.of_type("cron_registered")) == 1
    assert explain("summary", slot("09:05")).cron == "digest"
    assert audit().ok


def test_another_cron_cannot_take_a_former_name(renamed, add, deploy, pass_by, caplog):
    add("report", schedule="0 0 * * *")
    before = types()
    deploy()
    assert types() == before
    why = "Cron 'report': 'digest' had that name before, and its history is stored under it."
    assert why in caplog.text
    assert any(why in problem for problem in health().problems)


def test_a_history_of_its_own_is_not_replaced(add, deploy, rename, caplog):
    add("report", **EACH_MINUTE)
    deploy()
    rename("digest")  # without renamed_from: too late afterwards
    deploy()
    rename("digest", "report")
    deploy()
    assert stored_name("digest") == "digest"
    assert "renamed_from='report' has no effect" in caplog.text


def test_renamed_from_names_what_the_code_still_has(add, deploy, caplog):
    add("report", **EACH_MINUTE)
    add("digest", **EACH_MINUTE, renamed_from="report")
    deploy()
    assert stored_name("digest") == "digest"
    assert set(CronEvent.objects.of_type("cron_registered").values_list("cron", flat=True)) == {
        "report"
    }
    assert "renamed_from='report' names a cron that this code still has" in caplog.text


def test_a_new_name_with_a_mistake_does_not_retire_the_old_one(add, crons, deploy, rename):
    add("report", **EACH_MINUTE)
    deploy()
    rename("other")
    crons.add("digest", print, {"schedule": "61 * * * *", "renamed_from": "report"})
    deploy()
    assert types() == ["cron_registered"]


def test_an_unknown_former_name_is_a_fresh_start(rename, deploy):
    rename("digest", "report")
    deploy()
    assert state_of("digest").definition.names == ()


def test_explain_tells_of_the_rename(renamed):
    until = " It was called report until 2026-03-02 09:02:30 UTC."
    by_old, before = explain("report", slot("09:03")), explain("digest", slot("09:01"))
    assert by_old.cron == before.cron == "digest"
    assert by_old.summary.startswith("digest fired for 2026-03-02 09:03:00 UTC")
    assert by_old.summary.endswith(until)
    assert before.summary.endswith(until)
    assert until not in explain("digest", slot("09:03")).summary
    run_id = CronEvent.objects.of_type("slot_fired").last().run_id
    assert explain_run(run_id).cron == "digest"
    assert printed("cron_explain", "report", "--run", str(run_id))


def test_commands_answer_to_each_name_and_show_the_present_one(renamed):
    (row,) = told("cron_list", "report")
    assert (row["name"], row["renamed_from"], row["fired_count"]) == ("digest", "report", 4)
    assert "digest: formerly report." in printed("cron_list")
    (row,) = csv.DictReader(io.StringIO(printed("cron_list", "digest", "--format", "csv")))
    assert row["renamed_from"] == "report"
    assert [run["cron"] for run in told("cron_history", "digest")] == ["digest"] * 4
    (figures,) = told("cron_report", "--cron", "digest", "--since", "2026-03-01")["rows"]
    assert (figures["cron"], figures["fired"]) == ("digest", 4)
    assert len(told("cron_events", "--cron", "digest")) == len(types())
    assert "renamed from report to digest" in printed("cron_events", "--cron", "digest")
    (audited,) = told("cron_audit", "report")["crons"]
    assert audited["cron"] == "digest"
    assert cancel_queued("digest").cancelled
    controls.trigger("digest", by="ann")
    with pytest.raises(CommandError, match="Did you mean 'digest'"):
        call_command("cron_pause", "digst")


def test_replay_gives_the_same_rows_and_the_past_the_old_name(renamed):
    printed("cron_list")
    assert rebuild.check() == []
    (then,) = told("cron_list", "digest", "--at", "2026-03-02T09:02:00Z")
    assert (then["name"], then["renamed_from"]) == ("report", "")


def test_what_is_in_force_and_the_code_do_not_differ(renamed):
    assert not any("differs" in text for text in (*health().warnings, *health().problems))


def test_the_check_names_a_renamed_from_without_effect(add, deploy, rename, crons, monkeypatch):
    monkeypatch.setattr(registry_module, "registry", crons)

    def found() -> list[str]:
        return [message.msg for message in check_renames(databases=["default"])]

    rename("digest", "report")
    assert found() == []  # a fresh database
    add("other", **EACH_MINUTE)
    deploy()
    assert found() == ["Cron 'digest': renamed_from='report' is no cron of the log."]
    rename("summary", "digest")
    assert found() == []  # to come
    deploy()
    assert found() == []
    rename("summary", "other")
    assert found() == [
        "Cron 'summary': renamed_from='other' has no effect, because both names have a history of "
        "their own in the log."
    ]
