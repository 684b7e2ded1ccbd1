"""The first and the last instants that there are, where a zone's clocks would show a year beyond."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from rqcron_events.queries.explain import explain

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
EAST, WEST = "Pacific/Kiritimati", "America/Los_Angeles"
SCHEDULES = {
    "east": {"schedule": "*/5 * * * *", "timezone": EAST},
    "east-daily": {"schedule": "59 23 * * *", "timezone": EAST},
    "west": {"schedule": "*/5 * * * *", "timezone": WEST},
    "west-daily": {"schedule": "0 0 * * *", "timezone": WEST},
    "plain": {"schedule": "* * * * *", "timezone": "UTC"},
    "period": {"every": timedelta(minutes=5), "timezone": EAST},
}
ENDS = [LAST.replace(microsecond=999_999), FIRST]


@pytest.fixture
def crons_everywhere(deploy, add, clock):
    for name, options in SCHEDULES.items():
        add(name, **options)
    runner = deploy()
    clock.advance(timedelta(minutes=10))
    runner.tick()


@pytest.mark.parametrize("at", ENDS, ids=str)
def test_explain_answers(crons_everywhere, capsys, at):
    for name in SCHEDULES:
        found = explain(name, at)
        assert found.verdict in ("pending", "not_a_slot", "not_registered"), found.summary
        for output_format in ("table", "json"):
            with suppress(SystemExit):
                args = ["--at", at.isoformat(), "--format", output_format]
                call_command("cron_explain", name, *args)
            assert capsys.readouterr().out


COMMANDS = [
    ["cron_explain", "{name}", "--at", "{at}"],
    ["cron_audit", "{name}", "--since", "{at}"],
    ["cron_audit", "{name}", "--until", "{at}"],
    ["cron_events", "--cron", "{name}", "--since", "{at}"],
    ["cron_events", "--cron", "{name}", "--until", "{at}"],
    ["cron_list", "{name}", "--at", "{at}"],
    ["cron_history", "{name}", "--at", "{at}"],
    ["cron_report", "--cron", "{name}", "--since", "{at}"],
    ["cron_report", "--cron", "{name}", "--until", "{at}"],
    ["cron_report", "--cron", "{name}", "--since", "{at}", "--until", "{at}"],
    ["cron_replay", "--at", "{at}"],
    ["cron_backfill", "{name}", "--from", "{at}", "--dry-run"],
    ["cron_backfill", "{name}", "--from", "2026-03-02T09:00Z", "--to", "{at}", "--dry-run"],
    ["cron_pause", "{name}", "--until", "{at}"],
    ["cron_list"],
    ["cron_explain", "{name}"],
]


@pytest.mark.parametrize(
    ("name", "at"),
    [("east", LAST), ("east", "9999-12-31"), ("west-daily", FIRST), ("west-daily", "0001-01-01")],
    ids=str,
)
def test_every_command_answers_or_says_what_it_does_not_take(crons_everywhere, capsys, name, at):
    for command in COMMANDS:
        text = at if isinstance(at, str) else at.isoformat()
        args = [part.format(name=name, at=text) for part in command]
        try:
            call_command(*args)
        except (CommandError, SystemExit) as end:
            assert str(end), args
        except Exception as error:
            raise AssertionError(f"{' '.join(args)}: {type(error).__name__}: {error}") from error
        capsys.readouterr()
