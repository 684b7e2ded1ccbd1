"""Functions that leave behind, raise and return what nobody should. Each is a cron of its own name."""

from __future__ import annotations

import asyncio
import builtins
import datetime as dt
import gc
import json
import locale
import logging
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection, connections, transaction
from rq import get_current_job

from rqcron_events import DeclineRun, register_cron

QUEUES = ("default", "low")
HOSTILE: list[str] = []
KEPT: list[Any] = []
"""What a function leaves open."""
POSTGRESQL = connection.vendor == "postgresql"


@register_cron(every=timedelta(seconds=3), queue="high", store_result=True)
def beside():
    """The cron that must not feel any of the others. Not each second: tests run beside other tests."""
    return "fine"


def hostile(function: Callable[[], Any]) -> Callable[[], Any]:
    queue = QUEUES[len(HOSTILE) % len(QUEUES)]
    HOSTILE.append(function.__name__)
    return register_cron(schedule="@yearly", timeout=6, queue=queue, store_result=True)(function)


def on_postgresql(function: Callable[[], Any]) -> Callable[[], Any]:
    return hostile(function) if POSTGRESQL else function


# Exceptions


class Hangs(Exception):
    def __str__(self):  # noqa: PLE0307
        while True:
            time.sleep(0.05)


class Large(Exception):
    def __str__(self):
        return "x" * 100_000_000


class Refuses(Exception):
    def __str__(self):
        raise RuntimeError("not even this")

    __repr__ = __str__


class NoText(Exception):
    def __str__(self):
        return 5  # noqa: PLE0307


class Exits(Exception):
    def __str__(self):  # noqa: PLE0307
        sys.exit(3)


class Text(str):
    __slots__ = ()

    def replace(self, *_: Any) -> Any:
        while True:
            time.sleep(0.05)

    encode = splitlines = __getitem__ = replace


class OddText(Exception):
    def __str__(self):
        return Text("odd")


class Lies(type):
    def __getattribute__(cls, name):
        if name in ("__qualname__", "__name__", "__module__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=Lies):
    pass


class Ends(BaseException):
    pass


@hostile
def text_never_returns():
    raise Hangs


@hostile
def text_of_100_mb():
    raise Large


@hostile
def text_raises():
    raise Refuses


@hostile
def text_is_a_number():
    raise NoText


@hostile
def text_exits():
    raise Exits


@hostile
def text_is_odd():
    raise OddText


@hostile
def message_of_100_mb():
    raise ValueError("x" * 100_000_000)


@hostile
def message_with_nul_and_half_a_character():
    raise ValueError("a\0b \ud800 \x1b[31m\n2026-03-02 cron_paused by legal")


@hostile
def name_of_a_megabyte():
    raise type("E" * 1_000_000, (Exception,), {})("named at length")


@hostile
def name_raises():
    raise Nameless


@hostile
def module_is_a_number():
    raise type("Odd", (Exception,), {"__module__": 7})("odd")


@hostile
def cause_never_returns():
    raise ValueError("because") from Hangs()


@hostile
def ten_causes_never_return():
    error = Hangs()
    for _ in range(10):
        following = Hangs()
        following.__cause__ = error
        error = following
    raise error


@hostile
def a_hundred_thousand_causes():
    error = ValueError(0)
    for number in range(100_000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    raise error


@hostile
def a_deep_group():
    error: Exception = ValueError(0)
    for _ in range(5_000):
        error = ExceptionGroup("group", [error])
    raise error


@hostile
def notes_never_return():
    error = ValueError("with notes")
    error.__notes__ = [Hangs()]
    raise error


@hostile
def raises_base_exception():
    raise Ends("the end")


@hostile
def raises_keyboard_interrupt():
    raise KeyboardInterrupt


@hostile
def raises_generator_exit():
    raise GeneratorExit


@hostile
def raises_stop_iteration():
    raise StopIteration


@hostile
def raises_cancelled():
    raise asyncio.CancelledError


@hostile
def declines_without_end():
    raise DeclineRun(Hangs())


# Ends of the process


@hostile
def exits_with_zero():
    os._exit(0)


@hostile
def exits_with_one():
    os._exit(1)


@hostile
def exits():
    sys.exit()


@hostile
def exits_with_a_text():
    sys.exit("because I say so")


@hostile
def kills_itself():
    os.kill(os.getpid(), signal.SIGKILL)


@hostile
def terminates_itself():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2)


@hostile
def interrupts_itself():
    os.kill(os.getpid(), signal.SIGINT)


@hostile
def crashes():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


@hostile
def forks_and_comes_back():
    return os.fork() == 0


@hostile
def recurses():
    recurses()


@hostile
def recurses_without_limit():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(10**9)

    class Endless:
        def __repr__(self):
            return repr(self)

    repr(Endless())


@hostile
def has_no_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, resource.RLIM_INFINITY))
    return bytearray(4_000_000_000)


@hostile
def takes_too_long():
    time.sleep(60)


@hostile
def catches_its_timeout():
    try:
        time.sleep(60)
    except BaseException:
        return "never mind"


# What it leaves open


@hostile
def leaves_sockets():
    KEPT.extend(socket.socket() for _ in range(500))


@hostile
def leaves_threads():
    KEPT.extend(threading.Thread(target=time.sleep, args=(600,)) for _ in range(20))
    for thread in KEPT:
        thread.start()


@hostile
def leaves_a_transaction():
    KEPT.append(transaction.atomic())
    KEPT[-1].__enter__()


@hostile
def leaves_a_broken_transaction():
    KEPT.append(transaction.atomic())
    KEPT[-1].__enter__()
    try:
        connection.cursor().execute("SELECT nothing FROM nowhere")
    except Exception as error:
        KEPT.append(error)


@hostile
def leaves_a_transaction_and_raises():
    KEPT.append(transaction.atomic())
    KEPT[-1].__enter__()
    raise ValueError("in the middle")


@hostile
def leaves_autocommit_off():
    transaction.set_autocommit(False)
    connection.cursor().execute("SELECT 1")


@hostile
def leaves_a_transaction_that_django_does_not_know():
    connection.cursor().execute("BEGIN")


@hostile
def closes_all_connections():
    connections.close_all()


@hostile
def closes_the_connection_below():
    connection.ensure_connection()
    connection.connection.close()


@hostile
def leaves_a_session_that_reads_only():
    if POSTGRESQL:
        connection.cursor().execute("SET default_transaction_read_only = on")
    else:
        connection.cursor().execute("PRAGMA query_only = 1")


@on_postgresql
def leaves_a_statement_timeout():
    connection.cursor().execute("SET statement_timeout = '1ms'")


@on_postgresql
def leaves_another_role():
    connection.cursor().execute("SET ROLE pg_monitor")


@on_postgresql
def leaves_another_search_path():
    connection.cursor().execute("SET search_path TO nowhere")


@on_postgresql
def leaves_a_table_of_the_same_name():
    connection.cursor().execute("CREATE TEMP TABLE rqcron_event (LIKE rqcron_event)")


@on_postgresql
def leaves_the_log_locked():
    KEPT.append(transaction.atomic())
    KEPT[-1].__enter__()
    connection.cursor().execute("LOCK TABLE rqcron_event IN ACCESS EXCLUSIVE MODE")


@on_postgresql
def ends_its_session():
    try:
        connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")
    except Exception as error:
        KEPT.append(error)


@hostile
def closes_all_files():
    os.closerange(3, 4096)


@hostile
def closes_its_output():
    sys.stdout.close()
    sys.stderr.close()
    os.closerange(0, 3)


# What it changes


@hostile
def leaves_a_directory_that_is_gone():
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    shutil.rmtree(gone)


@hostile
def changes_the_umask():
    os.umask(0o777)


@hostile
def ignores_all_signals():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            continue
    signal.alarm(0)
    raise Hangs


@hostile
def blocks_all_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    raise Hangs


@hostile
def changes_zone_and_locale():
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    locale.setlocale(locale.LC_ALL, "C")


@hostile
def empties_the_environment():
    os.environ.clear()


@hostile
def patches_json():
    json.dumps = json.loads = None
    json.JSONEncoder.encode = lambda *_: "[]"
    return {"a": 1}


@hostile
def patches_datetime():
    dt.datetime = None
    dt.timedelta = None


@hostile
def patches_builtins():
    builtins.isinstance = None


@hostile
def forgets_modules():
    for name in ("json", "traceback", "datetime", "logging"):
        sys.modules.pop(name, None)
    raise ValueError("afterwards")


@hostile
def breaks_the_log():
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("the disk is full")

    logging.getLogger().handlers[:] = [Broken()]
    logging.getLogger("rqcron_events").handlers[:] = [Broken()]
    raise ValueError("nobody can be told")


@hostile
def stops_the_collector():
    gc.disable()
    gc.freeze()


@hostile
def deletes_its_job():
    job = get_current_job()
    job.connection.delete(job.key)


# Results


class Result:
    def __repr__(self):
        while True:
            time.sleep(0.05)


class LargeResult:
    def __repr__(self):
        return "x" * 100_000_000


class RefusingResult:
    def __repr__(self):
        sys.exit(4)


class Packed:
    def __reduce__(self):
        raise Hangs


class Sorted(dict):
    def items(self):
        while True:
            yield "a", 1


@hostile
def result_never_returns():
    return Result()


@hostile
def result_of_100_mb():
    return LargeResult()


@hostile
def result_exits():
    return RefusingResult()


@hostile
def result_cannot_be_packed():
    return Packed()


@hostile
def result_is_a_generator():
    return (number for number in range(3))


@hostile
def result_is_a_function():
    return lambda: None


@hostile
def result_contains_itself():
    result: list[Any] = []
    result.append(result)
    return result


@hostile
def result_is_deep():
    result: list[Any] = []
    for _ in range(600):
        result = [result]
    return result


@hostile
def result_is_without_end():
    return Sorted(a=1)


@hostile
def result_is_no_text():
    return ["a\0b", "\ud800", float("nan"), 10**5_000]


@hostile
def result_of_20_mb():
    return "x" * 20_000_000
