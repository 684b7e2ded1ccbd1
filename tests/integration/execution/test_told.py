"""What formatting an exception or a result costs is bounded in time."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from rqcron_events.execution import told
from rqcron_events.execution.told import CannotBeShown, failure_of, presentable, result_of, text_of


class Hangs(Exception):
    def __str__(self):  # noqa: PLE0307
        while True:
            try:
                time.sleep(10)
            except ZeroDivisionError:
                continue

    __repr__ = __str__


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(told, "SECONDS_MAX", 0.2)


def chain(length: int) -> Exception:
    error = Hangs()
    for _ in range(length):
        following = Hangs()
        following.__cause__ = error
        error = following
    return error


@pytest.mark.timeout(20)
@pytest.mark.parametrize("length", [0, 5])
def test_an_exception_whose_text_never_comes_is_replaced_before_rq_formats_it(length):
    found = presentable(chain(length))
    assert isinstance(found, CannotBeShown)
    assert "Hangs that cannot be shown: it took more than" in str(found)
    error = failure_of(type(found), found, found.__traceback__)
    assert error["type"] == f"{__name__}.Hangs"
    assert error["message"] == str(found)


def test_an_exception_of_ordinary_size_is_itself():
    error = ValueError("a" * 10_000)
    assert presentable(error) is error


def test_an_exception_of_more_than_a_megabyte_is_replaced():
    assert "longer than 1,000,000 characters" in str(presentable(ValueError("a" * 1_100_000)))


@pytest.mark.timeout(20)
def test_texts_that_never_come_are_given_up():
    assert text_of(Hangs()) == "<Hangs that cannot be shown>"
    assert result_of(Hangs()) == "<Hangs that cannot be shown>"
    assert failure_of(Hangs, Hangs(), None)["message"] == "<Hangs that cannot be shown>"


@pytest.mark.timeout(20)
def test_the_limit_holds_although_the_signal_was_blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        assert text_of(Hangs()) == "<Hangs that cannot be shown>"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def test_another_thread_can_tell_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(text_of(ValueError("a"))))
    thread.start()
    thread.join(10)
    assert found == ["a"]
