"""Commands whose output somebody stops reading, as ``head`` does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rqcron_events.management.command import LedgerCommand
from tests.processes import ROOT, Project

COMMANDS = (
    ("cron_list",),
    ("cron_events", "--limit", "0"),
    ("cron_events", "--follow"),
    ("cron_events", "--format", "csv"),
    ("cron_explain", "quick"),
    ("cron_report", "--format", "csv"),
    ("cron_report", "--by", "day", "--format", "json"),
)


def run_unread(project: Project, *command: str, **environment: str):
    """Run it with a pipe as stdout that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *command],
            cwd=ROOT,
            env={**project.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)


@pytest.fixture
def registered(project: Project) -> Project:
    assert project.run("cron_run", "--once").returncode == 0
    return project


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_nobody_reads_ends_quietly(
    registered: Project, command: tuple[str, ...], unbuffered: str
):
    done = run_unread(registered, *command, PYTHONUNBUFFERED=unbuffered)
    told = [line for line in done.stderr.splitlines() if not line.startswith("No worker serves")]
    assert (told, done.returncode) == ([], 141)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_probe_that_nobody_reads_keeps_its_exit_code(registered: Project, unbuffered: str):
    """No runner is alive: what it says is lost, but not that something is wrong."""
    done = run_unread(registered, "cron_health", PYTHONUNBUFFERED=unbuffered)
    assert done.stderr == ""
    assert done.returncode == (141 if unbuffered else 1)


def test_an_error_is_said_although_nobody_reads_the_output(registered: Project):
    done = run_unread(registered, "cron_history", "quik")
    assert done.stderr.startswith("CommandError: No cron is named 'quik'.")
    assert done.returncode == 1


def test_the_broken_pipe_of_something_else_is_an_error_like_others(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def fail(*args: object, **options: object) -> None:
        raise BrokenPipeError("the other end of a socket")

    monkeypatch.setattr(LedgerCommand, "handle", fail)
    with pytest.raises(BrokenPipeError, match="of a socket"):
        LedgerCommand().run_from_argv(["manage.py", "cron_anything"])
