"""Real processes of the project under test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import psutil
import pytest

ROOT = Path(__file__).parents[1]
T = TypeVar("T")
STACKS_SECONDS_MAX = 5


def database_url() -> str:
    """Where pytest-django's test database is, for other processes."""
    from django.db import connection

    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{database['NAME']}"
    login = quote(str(database["USER"]))
    if database["PASSWORD"]:
        login += f":{quote(str(database['PASSWORD']))}"
    host, port, name = database["HOST"], database["PORT"], database["NAME"]
    if str(host).startswith("/"):
        return f"postgresql://{login}@{f':{port}' if port else ''}/{name}?host={quote(host)}"
    return f"postgresql://{login}@{host}{f':{port}' if port else ''}/{name}"


class Process(subprocess.Popen[bytes]):
    """A process in a session of its own, with its output in a file."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            super().__init__(
                command,
                cwd=ROOT,
                env={**environment, "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heed_sigint,
            )

    @property
    def output(self) -> str:
        """What it has written so far, errors included."""
        return self.log.read_text(errors="replace")

    def members(self) -> list[psutil.Process]:
        """Every process of its session that is alive: RQ's work-horses have process groups of
        their own. An orphan that has ended stays a zombie until the system looks for it.
        """
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.pid and not has_ended(process):
                    found.append(process)
            except OSError:  # it has just ended
                continue
        return found

    def child(self, command: str) -> psutil.Process:
        """Its only child with this word in its command line; work-horses come and go meanwhile."""
        (found,) = (
            child
            for child in psutil.Process(self.pid).children()
            if command in _command_line(child)
        )
        return found

    def kill_session(self) -> None:
        for process in self.members():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.wait(10)

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end (SIGTERM) and return its exit code; fail, with all output and where each of its
        processes stands, after ``seconds``."""
        if self.poll() is None:
            self.send_signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            for member in self.members():
                with suppress(psutil.NoSuchProcess):
                    member.send_signal(signal.SIGABRT)  # Python writes its stacks then
            psutil.wait_procs(self.members(), STACKS_SECONDS_MAX)
            pytest.fail(f"It did not end within {seconds} s.\n{self.output}")


def _heed_sigint() -> None:
    """A shell that runs the tests in the background has them, and their children, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended, or is a zombie
        return ""


def has_ended(process: psutil.Process) -> bool:
    """Also when nobody has waited for it, as happens to orphans."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Project:
    """See the fixture ``project``."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        """Of every process; change it before starting one."""
        self.processes: list[Process] = []
        self._directory = directory

    def start(self, *command: str, **environment: str) -> Process:
        """Start ``manage.py command...``; keyword arguments are added to its environment."""
        log = self._directory / f"{len(self.processes)}-{command[0]}.log"
        process = Process(_manage(*command), {**self.environment, **environment}, log)
        self.processes.append(process)
        return process

    def run(
        self, *command: str, seconds: float = 60, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py command...`` to its end; does not raise for an exit code."""
        return subprocess.run(
            _manage(*command),
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def wait_until(self, predicate: Callable[[], T], seconds: float = 60) -> T:
        """Return the predicate's first true value; fail, with all output, after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() > deadline:
                pytest.fail(f"Not reached within {seconds} s: {_source(predicate)}\n{self.output}")
            time.sleep(0.05)

    @property
    def output(self) -> str:
        """The output of every process that was started."""
        return "\n".join(
            f"--- {process.log.stem} (exit code {process.poll()})\n{process.output}"
            for process in self.processes
        )

    def kill_all(self) -> None:
        for process in self.processes:
            process.kill_session()


def _manage(*command: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *command]


def _source(predicate: Callable[[], Any]) -> str:
    code = getattr(predicate, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{getattr(predicate, '__qualname__', predicate)}{place}"
