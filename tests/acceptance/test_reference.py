"""The tables of docs/reference name what the code has, no more and no less."""

from __future__ import annotations

import re
from dataclasses import fields

from django.core.management import get_commands

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
