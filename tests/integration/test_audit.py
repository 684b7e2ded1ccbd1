"""cron_audit against a real log, of which something was taken out by force."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from rqcron_events import audit
from rqcron_events.ledger import vendor
from rqcron_events.models import CronEvent


@pytest.fixture
def decided(deploy, add, clock):
    """Four slots fired, 09:01 to 09:04; their runs are never taken by a worker."""
    add("report", schedule="* * * * *")
    runner = deploy()
    for _ in range(4):
        clock.advance(timedelta(minutes=1))
        runner.tick()


def by_force(statement: str, *values) -> None:
    vendor(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
    vendor(connection).set_append_only(connection, True)


def kinds() -> list[str]:
    return [finding.kind.value for cron in audit().crons for finding in cron.findings]


def test_a_whole_log_is_accounted_for(decided, capsys):
    call_command("cron_audit")
    assert "OK: 4 slots were promised, each is decided once." in capsys.readouterr().out
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
    assert kinds() == ["no_outcome"] * 4
