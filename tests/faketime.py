"""Processes whose clock is wrong, by libfaketime; see the fixture ``wrong_clock``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system_packages import require

LIBRARIES = sorted(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1"))


class WrongClock:
    """A clock that can be set while processes run by it. Only the time of day is wrong: timeouts
    and durations are those of the machine."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "faketime"
        self.set(0)

    def set(self, seconds_ahead: float) -> None:
        """How far it is ahead from now on; below zero: behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds_ahead:+.3f}s\n")
        new.rename(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that goes by this clock."""
        require("faketime", is_installed=bool(LIBRARIES))
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@pytest.fixture
def wrong_clock(tmp_path: Path) -> Iterator[WrongClock]:
    """A clock for processes of the project: ``project.start("cron_run", **clock.environment)``."""
    assert "FAKETIME" not in os.environ, "the tests run under faketime themselves"
    yield WrongClock(tmp_path)
