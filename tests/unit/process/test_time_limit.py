"""Two users of one timer: the ledger's bound, and RQ's for the job around it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import pytest
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from rqcron_events.process import time_limit as module
from rqcron_events.process.time_limit import TookTooLong, alarm_again, time_limit

BUSY_SECONDS = 3
LIMIT_SECONDS = 0.001


def outer(number: int, frame: FrameType | None) -> None:
    raise JobTimeoutException


@pytest.fixture(autouse=True)
def timer() -> Iterator[None]:
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)  # of pytest-timeout
    before = signal.signal(signal.SIGALRM, outer)
    yield
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, left, interval)
            return
        except Exception:  # what a test left behind
            continue


def spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_the_bound_around_it_is_there_again_whenever_its_own_comes():
    """At any line, so also while it is ended: tried some thousand times, close to that moment."""
    ends = time.monotonic() + BUSY_SECONDS
    raised = tried = 0
    while time.monotonic() < ends:
        signal.setitimer(signal.ITIMER_REAL, 5)
        tried += 1
        try:
            with time_limit(LIMIT_SECONDS):
                spin(LIMIT_SECONDS - 0.00006 + tried % 80 * 0.000001)
        except TookTooLong:
            raised += 1
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert signal.getsignal(signal.SIGALRM) is outer, f"at try {tried}"
        assert left > 1 and not interval
    assert 0 < raised < tried


def test_it_is_raised_again_while_somebody_catches_all(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    caught = 0
    with time_limit(0.01):
        while caught < 3:
            try:
                spin(1)
            except TookTooLong:
                caught += 1


def test_an_alarm_that_is_swallowed_comes_again_until_the_block_ends(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(1, JobTimeoutException):
        with alarm_again(JobTimeoutException):
            with pytest.raises(TookTooLong), time_limit(1.1):
                spin(5)
            for _ in range(2):
                with suppress(JobTimeoutException):
                    spin(1)
                    pytest.fail("It does not come again.")
        spin(1)
        pytest.fail("The job goes on without a bound.")
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_function_that_cleans_up_after_its_alarm_is_let_be(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    with UnixSignalDeathPenalty(1, JobTimeoutException):
        with alarm_again(JobTimeoutException):
            pass
        try:
            spin(5)
        except JobTimeoutException:
            spin(0.1)
    with UnixSignalDeathPenalty(1, JobTimeoutException):
        try:
            with alarm_again(JobTimeoutException):
                spin(5)
        except JobTimeoutException:
            spin(0.1)


def test_without_a_bound_around_it_none_is_left():
    with alarm_again(JobTimeoutException), time_limit(5):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 4
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
