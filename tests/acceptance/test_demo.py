"""``make demo``, as somebody sees it who has just cloned the project."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Process

SECONDS = 25


class Demo(Process):
    """The demo in a session of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, str(ROOT / "example" / "demo.py"), *options]
        super().__init__(command, environment, directory / "demo.log")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that has run to its end."""
    found = Demo(tmp_path_factory.mktemp("demo"), "--seconds", str(SECONDS))
    try:
        found.wait(SECONDS + 120)
        yield found
    finally:
        found.kill_session()


def test_it_ends_by_itself_and_leaves_no_process(demo: Demo) -> None:
    assert demo.returncode == 0, demo.output
    assert demo.members() == []


@pytest.mark.parametrize(
    "line",
    [
        "check_sites       registered                every 8 s",
        "weekday_digest    registered                0 9 * * 1-5 (America/New_York)",
        "remind_owner      paused                    by demo to show what a pause looks like",
        "remind_owner      skipped                   paused by demo to show what a pause looks like",
        r"check_sites       fired           \w{8}  \d+ ms after its slot",
        r"check_sites       succeeded       \w{8}  in \d\.\d s",
        r"digest            succeeded       \w{8}  in \d+ ms",
        r"digest            declined        \w{8}  no new checks",
        r"ping              succeeded       \w{8}  in \d+ ms",
        r"measure_speed     skipped                   overlap, run \w{8} is not done",
        r"publish_status    attempt failed  \w{8}  urllib.error.HTTPError: .*; 2 retries left",
        r"publish_status    started         \w{8}  attempt 3",
        r"publish_status    FAILED          \w{8}  urllib.error.HTTPError: HTTP Error 404: Not Found",
        r"take_screenshots  started         \w{8}",
    ],
)
def test_the_ledger_is_shown_line_by_line(demo: Demo, line: str) -> None:
    pattern = line if "\\" in line else re.escape(line)
    assert re.search(rf"^\d\d:\d\d:\d\d  {pattern}$", demo.output, re.MULTILINE), demo.output


@pytest.mark.parametrize(
    "start",
    [
        "FIRED: ",
        "SKIPPED: measure_speed ",
        "SKIPPED: remind_owner ",
        "PENDING: weekday_digest ",
        "NOT A SLOT: weekday_digest ",
        "NOT REGISTERED: check_sites ",
        "CommandError: No cron is named 'chekc_sites'",
    ],
)
def test_it_asks_why_for_every_verdict(demo: Demo, start: str) -> None:
    assert f"\n{start}" in demo.output, demo.output


def test_it_says_where_the_pages_are_and_who_may_see_them(demo: Demo) -> None:
    overview = r"http://127\.0\.0\.1:\d+/admin/rqcron_projections/cronjob/"
    login = rf"^pages     {overview}  user demo, password \S{{12}}$"
    assert re.search(login, demo.output, re.MULTILINE), demo.output


def test_it_has_a_past(demo: Demo) -> None:
    assert "\nMISSED: " in demo.output, demo.output
    assert re.search(r"^archive_checks +\w+ ", demo.output, re.MULTILINE), demo.output
    assert "cron_registered: archive_checks" not in demo.output


def test_a_pipe_gets_no_control_codes(demo: Demo) -> None:
    assert "\x1b" not in demo.output
    assert "\r" not in demo.output


def test_the_crons_did_real_work(demo: Demo) -> None:
    last = demo.output.rstrip().rpartition("\n")[2]
    found = re.fullmatch(
        r"The crons wrote (\d+) checks to the database and sent (\d+) mails\.", last
    )
    assert found, demo.output
    assert all(int(count) > 0 for count in found.groups())


def test_two_run_at_the_same_time(tmp_path: Path) -> None:
    demos = []
    for name in ("first", "second"):
        directory = tmp_path / name
        directory.mkdir()
        demos.append(Demo(directory, "--seconds", "6"))
    try:
        assert [demo.wait(120) for demo in demos] == [0, 0], "\n".join(d.output for d in demos)
        assert len({re.search(r"files +(\S+)", demo.output)[1] for demo in demos}) == 2
        assert [demo.members() for demo in demos] == [[], []]
    finally:
        for demo in demos:
            demo.kill_session()
