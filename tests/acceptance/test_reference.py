"""The tables of docs/reference name what the code has, no more and no less."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from django.core.management import get_commands
from rqcron_projections.models import CronJob

from rqcron_events.conf import Conf
from rqcron_events.cron_options import KNOWN_OPTIONS
from tests.processes import ROOT

REFERENCE = ROOT / "docs" / "reference"


def rows(page: str) -> list[str]:
    """The code words in the first column of a page's tables."""
    cells = re.findall(r"^\| (.+?) \|", (REFERENCE / page).read_text(), re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`([\w.]+)", cell)]


def test_every_setting_is_in_the_table():
    assert sorted(rows("settings.md")) == sorted(
        f"RQCRON_{item.name.upper()}" for item in fields(Conf)
    )


def test_every_option_of_register_cron_is_in_the_table():
    assert sorted(rows("register_cron.md")) == sorted(KNOWN_OPTIONS)


def test_every_command_is_in_the_table():
    ours = [
        name
        for name, app in get_commands().items()
        if app in ("rqcron_events", "rqcron_projections")
    ]
    assert sorted(rows("commands.md")) == sorted(ours)


def test_every_system_check_is_in_the_table():
    sources = [*(ROOT / "rqcron_events").rglob("*.py"), *(ROOT / "projections").rglob("*.py")]
    raised = {
        found
        for path in sources
        for found in re.findall(r"rqcron_\w+\.[EWI]\d{3}", path.read_text())
    }
    assert sorted(rows("checks.md")) == sorted(raised)


LOG_CALLS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("rqcron_events", "projections/rqcron_projections"):
        for path in (ROOT / package).rglob("*.py"):
            yield path, ast.parse(path.read_text())


def test_every_line_of_the_log_has_an_action():
    without = [
        f"{path}:{call.lineno}"
        for path, tree in trees()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and call.func.attr in LOG_CALLS
        and "extra" not in {keyword.arg for keyword in call.keywords}
    ]
    assert without == []


def test_every_action_of_a_log_line_is_in_the_table():
    actions = {
        value.value
        for _, tree in trees()
        for made in ast.walk(tree)
        if isinstance(made, ast.Dict)
        for key, value in zip(made.keys, made.values, strict=True)
        if isinstance(key, ast.Constant)
        and key.value == "action"
        and isinstance(value, ast.Constant)
    }
    named_by_events = {"cron_registered", "cron_changed", "cron_retired"}
    assert sorted(rows("logs.md")) == sorted(actions | named_by_events)


def test_the_example_of_json_lines_gives_what_the_page_says():
    page = (REFERENCE / "logs.md").read_text()
    (example,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    (told,) = re.findall(r"```json\n(.+?)\n```", page)
    line = json.loads(told)
    code = f"""{example}
import logging.config
logging.config.dictConfig(LOGGING)
about = {{"action": {line["action"]!r}, "cron": {line["cron"]!r}}}
logging.getLogger({line["name"]!r}).info({line["message"]!r}, extra=about)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    given = json.loads(done.stderr)
    given.pop("taskName", None)  # since Python 3.12
    assert given | {"asctime": line["asctime"]} == line


def test_the_page_about_pages_names_every_permission_of_an_action():
    page = (ROOT / "docs" / "pages.md").read_text()
    [table] = re.findall(r"\| permission .*?\n\n", page, re.DOTALL)
    named = set(re.findall(r"`(?:rqcron_projections\.)?(\w+_cron)`", table))
    assert named == {codename for codename, _ in CronJob._meta.permissions}
