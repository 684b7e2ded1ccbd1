"""A flag that signal handlers set."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from rqcron_events.process.stop_flag import StopFlag

SIGNALS = 20_000
"""threading.Event in its place stood still after the first few hundred, in each of ten trials."""

STRUCK = f"""
import signal
from rqcron_events.process.stop_flag import StopFlag

flag = StopFlag()
signal.signal(signal.SIGALRM, lambda *_: flag.set())
for number in range({SIGNALS}):
    flag = StopFlag()
    signal.setitimer(signal.ITIMER_REAL, 0.00001 + number % 100 / 1e6)
    while not flag.wait(0.00005):
        pass
"""


def test_a_signal_may_set_it_while_the_main_thread_waits_for_it():
    """At any line of that: a handler that waits for a lock of the line it interrupts waits for ever."""
    subprocess.run([sys.executable, "-c", STRUCK], check=True, timeout=120)


def test_all_who_wait_are_woken():
    flag = StopFlag()
    said: list[bool] = []
    threads = [threading.Thread(target=lambda: said.append(flag.wait(60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    flag.set()
    for thread in threads:
        thread.join(60)
    assert said == [True, True, True]
    assert flag.is_set()


def test_it_waits_no_longer_than_it_is_told():
    flag = StopFlag()
    assert flag.wait(0) is False
    began = time.monotonic()
    assert flag.wait(0.01) is False
    assert time.monotonic() - began >= 0.01
    assert not flag.is_set()
