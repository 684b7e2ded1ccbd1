"""The tables of README.md name what the code has, no more and no less."""

from __future__ import annotations

import re
from dataclasses import fields

from django.core.management import get_commands

from rqcron_events.conf import Conf
from rqcron_events.cron_options import KNOWN_OPTIONS
from tests.processes import ROOT

README = (ROOT / "README.md").read_text()


def rows(heading: str) -> list[str]:
    """The code words in the first column of the table below a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`(\w+)", cell)]


def test_every_setting_is_in_the_table():
    assert sorted(rows("Settings")) == sorted(
        f"RQCRON_{item.name.upper()}" for item in fields(Conf)
    )


def test_every_option_of_register_cron_is_in_the_table():
    assert sorted(rows("Options of `register_cron`")) == sorted(KNOWN_OPTIONS)


def test_every_command_is_in_the_table():
    ours = [
        name
        for name, app in get_commands().items()
        if app in ("rqcron_events", "rqcron_projections")
    ]
    assert sorted(rows("Commands")) == sorted(ours)
