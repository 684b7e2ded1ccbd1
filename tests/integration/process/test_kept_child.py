"""A child that dies, hangs or is frozen is started again; one that is not wanted any more is not."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rqcron_events.process import kept_child
from rqcron_events.process.kept_child import KeptChild
from rqcron_events.process.stop_flag import StopFlag
from tests.processes import has_ended

SECONDS_MAX = 60

NOTES_ITSELF = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
"""
STAYS = NOTES_ITSELF + "time.sleep(600)"
BEATS = NOTES_ITSELF + "while True: os.write(int(sys.argv[2]), b'.'); time.sleep(0.01)"
SILENT = NOTES_ITSELF + "os.write(int(sys.argv[2]), b'.'); time.sleep(600)"
BUSY = NOTES_ITSELF + "os.write(int(sys.argv[2]), b'+'); time.sleep(600)"
ENDS = NOTES_ITSELF
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SILENT


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_child, "RESTART_SECONDS", 0.01)


class Kept:
    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.children: list[KeptChild] = []

    def start(self, code: str, silent_seconds_max: float | None = None) -> KeptChild:
        child = KeptChild(
            ["-S", "-c", code, str(self.notes)],
            name="test's process",
            about={"action": "test_restarted"},
            stop_seconds_max=0.2,
            silent_seconds_max=silent_seconds_max,
        )
        self.children.append(child)
        child.start()
        return child

    def pids(self) -> list[int]:
        return [int(line) for line in self.notes.read_text().split()] if self.notes.exists() else []

    def wait_for(self, number: int) -> list[int]:
        wait_until(lambda: len(self.pids()) >= number)
        return self.pids()


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_over(pid: int) -> bool:
    import psutil

    return not psutil.pid_exists(pid) or has_ended(psutil.Process(pid))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path / "pids")
    yield found
    for child in found.children:
        child.stop()
    assert all(map(is_over, found.pids()))


@pytest.mark.parametrize(("code", "silent_seconds_max"), [(STAYS, None), (BEATS, 60)])
def test_one_that_dies_is_started_again_and_said_to_be(
    kept: Kept, code: str, silent_seconds_max: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    kept.start(code, silent_seconds_max)
    os.kill(kept.wait_for(1)[0], signal.SIGKILL)
    kept.wait_for(2)
    (said,) = caplog.records
    assert (said.action, said.exit_code) == ("test_restarted", -signal.SIGKILL)


@pytest.mark.parametrize("code", [SILENT, DEAF])
def test_one_that_hangs_is_ended_and_started_again(
    kept: Kept, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept.start(code, 0.3)
    first = kept.wait_for(2)[0]
    assert is_over(first)
    assert "hangs: it has said nothing for" in caplog.records[0].getMessage()


def test_one_that_is_frozen_is_ended_and_started_again(kept: Kept) -> None:
    kept.start(BEATS, 0.5)
    first = kept.wait_for(1)[0]
    os.kill(first, signal.SIGSTOP)
    kept.wait_for(2)
    assert is_over(first)


def test_one_that_never_says_a_word_is_ended_and_started_again(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_child, "START_SECONDS_MAX", 1.0)
    kept.start(STAYS, 60)
    first = kept.wait_for(2)[0]
    assert is_over(first)


@pytest.mark.parametrize("silent_seconds_max", [None, 60])
def test_one_that_cannot_be_started_is_tried_again(
    kept: Kept,
    silent_seconds_max: float | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(kept.notes / "python"))
        kept.start(STAYS, silent_seconds_max)
        wait_until(lambda: bool(caplog.records))
    kept.wait_for(1)
    assert "The test's process cannot be started ([Errno 2]" in caplog.records[0].getMessage()


def test_one_that_was_asked_to_end_just_before_its_parent_is_no_error(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    wait = StopFlag.wait

    def noted(flag: StopFlag, seconds: float) -> bool:
        waits.append(seconds)
        return wait(flag, seconds)

    monkeypatch.setattr(StopFlag, "wait", noted)
    monkeypatch.setattr(kept_child, "ASKED_TOO_SECONDS", SECONDS_MAX)
    child = kept.start(ENDS)
    wait_until(lambda: SECONDS_MAX in waits or len(kept.pids()) > 1)
    child.stop()
    assert len(kept.pids()) == 1
    assert not caplog.records


def test_one_that_says_that_it_takes_long_is_waited_for(kept: Kept) -> None:
    kept.start(BUSY, 0.3)
    others = kept.wait_for(1)
    kept.start(SILENT, 0.3)  # has hung twice when this one has been silent for twice as long
    assert not is_over(others[0])


def test_one_that_is_not_wanted_any_more_ends_without_anybody_who_waits(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    child = kept.start(STAYS)
    (pid,) = kept.wait_for(1)
    child.request_stop()
    wait_until(lambda: is_over(pid))
    child.stop()
    assert kept.pids() == [pid]
    assert not caplog.records


def test_one_that_was_asked_to_end_before_it_was_there_does_not_stay(kept: Kept) -> None:
    child = kept.start(STAYS)
    child.stop()
    wait_until(lambda: all(map(is_over, kept.pids())))
