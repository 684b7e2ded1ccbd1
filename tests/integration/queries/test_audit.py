"""cron_audit against a real log, of which something was taken out by force."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rqcron_events import audit
from rqcron_events.core.audit.findings import Wrong
from rqcron_events.core.events import Event, EventType
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent
from rqcron_events.queries.runs import facts
from tests.conformance.writing import row
from tests.integration.conftest import START


@pytest.fixture
def decided(deploy, add, clock):
    """Four slots fired, 09:01 to 09:04; their runs are never taken by a worker."""
    add("report", schedule="* * * * *")
    runner = deploy()
    for _ in range(4):
        clock.advance(timedelta(minutes=1))
        runner.tick()


def by_force(statement: str, *values) -> None:
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
    backend_of(connection).set_append_only(connection, True)


def kinds() -> list[str]:
    return [finding.kind.value for cron in audit().crons for finding in cron.findings]


def test_a_whole_log_is_accounted_for(decided, capsys):
    call_command("cron_audit")
    assert "OK: 4 slots were promised; each was decided exactly once." in capsys.readouterr().out
    assert audit("report").totals.open_runs == 4


def test_a_decision_that_was_taken_out_is_found(decided, capsys):
    gone = CronEvent.objects.decisions().order_by("id")[1]
    by_force("DELETE FROM rqcron_event WHERE id = %s", gone.id)
    with pytest.raises(SystemExit) as end:
        call_command("cron_audit")
    assert end.value.code == 1
    assert "UNACCOUNTED report: 2026-03-02 09:02:00 UTC" in capsys.readouterr().out
    assert kinds() == ["version_gap", "undecided_run"]


def test_a_slot_decided_under_a_wrong_definition_is_found(decided):
    row = CronEvent.objects.decisions().order_by("id")[1]
    data = '{"definition_version": 7, "lateness_seconds": 0}'
    by_force("UPDATE rqcron_event SET data = %s WHERE id = %s", data, row.id)
    assert kinds() == ["wrong_definition"]


def test_a_run_without_an_outcome_is_found_after_a_day(decided, clock):
    clock.advance(timedelta(hours=25))
    assert kinds() == ["no_outcome"] * 4 + ["overdue"]


def minute(number: int):
    """09:01 is the first slot."""
    return START.replace(second=0) + timedelta(minutes=number)


def test_only_the_slots_of_the_window_are_audited(decided):
    gone = CronEvent.objects.decisions().order_by("id")[1]
    by_force("DELETE FROM rqcron_event WHERE id = %s", gone.id)
    found = audit("report", since=minute(2), until=minute(4))
    assert [cron.unaccounted for cron in found.crons] == [(minute(2),)]
    assert (found.totals.expected, found.totals.fired, found.totals.open_runs) == (2, 1, 1)
    later = audit("report", since=minute(4))
    assert (later.ok, later.totals.expected, later.totals.open_runs) == (True, 1, 1)
    before = audit("report", until=minute(2))
    totals = before.totals
    assert (totals.expected, totals.unaccounted, totals.open_runs) == (1, 0, 1)


def test_the_command_takes_the_window(decided, capsys):
    call_command("cron_audit", "report", "--since=2026-03-02T09:02Z", "--until=2026-03-02T09:04Z")
    assert "OK: 2 slots were promised" in capsys.readouterr().out


def test_json_has_the_findings_and_what_was_asked(decided, capsys):
    gone = CronEvent.objects.decisions().order_by("id")[1]
    by_force("DELETE FROM rqcron_event WHERE id = %s", gone.id)
    with pytest.raises(SystemExit):
        call_command("cron_audit", "--format=json", "--since=2026-03-02T09:01Z")
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["since"]) == (False, "2026-03-02T09:01:00+00:00")
    assert found["until"] is None
    [cron] = found["crons"]
    assert cron["unaccounted"] == ["2026-03-02T09:02:00+00:00"]
    assert [item["kind"] for item in cron["findings"]] == ["version_gap", "undecided_run"]
    assert found["totals"]["unaccounted"] == 1


def test_csv_has_a_row_for_each_cron(decided, capsys):
    call_command("cron_audit", "--format=csv")
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["cron"], row["expected"], row["fired"], row["unaccounted"]) == (
        "report",
        "4",
        "4",
        "0",
    )


def test_runs_are_judged_alike_when_too_many_are_not_well(decided, clock, monkeypatch):
    clock.advance(timedelta(hours=25))
    before = audit("report")
    monkeypatch.setattr(facts, "RUNS_KEPT_MAX", 3)
    assert audit("report").crons == before.crons
    assert before.totals.findings == 5


def test_an_event_that_is_gone_from_a_run_that_ended_is_found(decided):
    enqueued = CronEvent.objects.of_type("run_enqueued").order_by("id")[0]
    ended = Event(
        stream=enqueued.stream,
        version=3,
        type=EventType.RUN_SUCCEEDED,
        cron="report",
        run_id=enqueued.run_id,
        occurred_at=START + timedelta(minutes=5),
    )
    row(ended).save()
    assert kinds() == ["version_gap"]


def test_an_audit_of_the_future_is_refused(decided):
    with pytest.raises(CommandError, match="is in the future: nothing is due"):
        call_command("cron_audit", "--since=tomorrow")


def test_words_are_read_in_the_zone_of_the_cron_that_is_audited(deploy, add, clock, capsys):
    add("report", schedule="* * * * *", timezone="Asia/Kathmandu")
    deploy()
    call_command("cron_audit", "report", "--since=yesterday 9am", "--until=now", "--format=json")
    output = capsys.readouterr().out
    assert json.loads(output[output.index("{") :])["since"] == "2026-03-01T03:15:00+00:00"


@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_one_slot_that_python_does_not_have_hides_no_other(rows_of_before, decided, value):
    broken = CronEvent.objects.decisions().order_by("id")[1]
    by_force(f"UPDATE rqcron_event SET scheduled_for = '{value}' WHERE id = %s", broken.id)
    found = audit("report").crons[0]
    unreadable = [item for item in found.findings if item.kind == Wrong.UNREADABLE]
    assert [item.version for item in unreadable] == [broken.version]
    assert [slot.minute for slot in found.unaccounted] == [2]
    assert found.totals.fired == 3


@pytest.mark.parametrize(
    "data", ['{"definition_version": NaN}', "{", '{"definition_version": "x"}']
)
def test_one_decision_whose_data_is_damaged_hides_no_other(rows_of_before, decided, data):
    broken = CronEvent.objects.decisions().order_by("id")[1]
    if connection.vendor == "postgresql":
        data = data if "x" in data else "[1]"  # its type jsonb takes nothing that is not JSON
    else:
        by_force("PRAGMA ignore_check_constraints = ON")  # Django's JSON_VALID
    by_force("UPDATE rqcron_event SET data = %s WHERE id = %s", data, broken.id)
    found = audit("report").crons[0]
    assert [slot.minute for slot in found.unaccounted] == [2]
    unreadable = [item for item in found.findings if item.kind == Wrong.UNREADABLE]
    assert [item.version for item in unreadable] == [broken.version]
    assert found.totals.fired == 3
