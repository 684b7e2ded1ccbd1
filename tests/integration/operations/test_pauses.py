"""A pause that replaces a pause of another one: both stay known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from rqcron_events import explain
from rqcron_events.models import CronEvent

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("which", ["report", "--all"])
def test_the_command_and_every_answer_say_whose_pause_it_replaces(
    deploy, add, clock, capsys, which: str
):
    add("report", schedule="* * * * *")
    runner = deploy()
    call_command("cron_pause", which, "--by", "ann", "--reason", "the server moves")
    assert "replaces a pause" not in capsys.readouterr().out
    clock.advance(timedelta(seconds=5))
    call_command("cron_pause", which, "--by", "bob", "--reason", "lunch", "--until", "2h")
    told = capsys.readouterr().out
    assert "This replaces a pause by ann since 2026-03-02 09:00:30 UTC (the server moves)." in told
    clock.advance(MINUTE)
    runner.tick()
    skipped = CronEvent.objects.get(type="slot_skipped").data["evidence"]
    assert (skipped["actor"], skipped["replaced"]["actor"]) == ("bob", "ann")
    summary = explain("report", datetime(2026, 3, 2, 9, 1, tzinfo=UTC)).summary
    assert "paused by bob" in summary
    assert "replacing the pause by ann" in summary


def test_one_that_has_run_out_is_not_replaced(deploy, add, clock, capsys):
    add("report", schedule="* * * * *")
    deploy()
    call_command("cron_pause", "report", "--by", "ann", "--until", "1m")
    clock.advance(2 * MINUTE)
    call_command("cron_pause", "report", "--by", "bob")
    assert "replaces a pause" not in capsys.readouterr().out
