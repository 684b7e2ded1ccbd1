"""A terminal or a pipe that is not UTF-8 gets what it can show, from every command."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from tests.processes import Project
from tests.projections.management.test_text_of_others import hostile_log, lines

__all__ = ["hostile_log"]

COMMANDS = {name: app for name, app in get_commands().items() if name.startswith("cron_")}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_command_prints(hostile_log, encoding: str):
    for line in lines():
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        try:
            call_command(*line, stdout=out, stderr=err)
        except (CommandError, SystemExit):
            continue  # how the answer was; no UnicodeEncodeError, which is a ValueError
        finally:
            out.flush()
        assert out.buffer.getvalue(), line


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_plain(name: str):
    command = load_command_class(COMMANDS[name], name)
    assert command.create_parser("manage.py", name).format_help().isascii()


def test_python_is_told_the_encoding(project: Project):
    listed = project.run("cron_replay", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert listed.returncode == 0, listed.stderr
    heading, rule, *rows = listed.stdout.splitlines()
    assert heading.split()[0] == "projection" and rows
    assert set(rule) == {"-"}
