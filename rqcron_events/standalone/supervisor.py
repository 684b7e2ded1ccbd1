"""Everything on one machine, for development: Redis, workers with the runner, and the web."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from .. import clock
from ..conf import conf, migrate_command
from ..ledger.backend import backend_of
from ..process.stop_flag import StopFlag
from .redis_server import Address, StandaloneError, address_of, answers, server_config

__all__ = ["Part", "Standalone", "StandaloneError"]

REDIS_SECONDS_MAX = 10
"""How long the Redis server may take to answer its first PING."""
JOB_SECONDS_MAX = 10
"""How long a worker that is asked to stop may finish its job, before the job is stopped."""
STOP_SECONDS_MAX = 3
"""How long any other end may take, before the process is killed."""
SAME_SIGNAL_SECONDS = 1
"""Ctrl-C often arrives twice, from the terminal and from a wrapper; RQ uses the same bound."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Part:
    """One process, in a group of its own, so that a terminal's Ctrl-C reaches only us."""

    name: str
    process: subprocess.Popen[bytes]
    stops_within_seconds: tuple[float, ...] = (STOP_SECONDS_MAX,)
    """One SIGTERM for each, then SIGKILL. RQ's worker takes the second as "stop the job too"."""

    @property
    def fate(self) -> str:
        """How it ended, in words, or nothing while it lives."""
        code = self.process.poll()
        if code is None:
            return ""
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{self.name} (process {self.process.pid}) ended by itself: {how}."


class Standalone:
    """Starts the parts, watches them, and ends them in order: workers, web, Redis.

    :param queues: names in RQ_QUEUES; empty: all that share the first one's Redis.
    :param web_port: also serve the project's pages there.
    :param workers: how many workers; each carries a runner, one of which leads.
    :param output: an open file for what the parts write; None: this process's own output.
    :param say: receives one readable line for each thing that happens.

    >>> Standalone(queues=["default"]).run(seconds=60)
    """

    def __init__(
        self,
        *,
        queues: Sequence[str] = (),
        web_port: int | None = None,
        workers: int = 1,
        output: IO[bytes] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.parts: list[Part] = []
        self.ending = StopFlag()
        """Set when a signal asked for the end."""
        self._queues = list(queues)
        self._web_port = web_port
        self._workers = workers
        self._output = output
        self._tell = say
        self._first_signal_seconds = 0.0
        self._hurry = False

    def run(self, seconds: float | None = None) -> int:
        """Run until a signal, or for some seconds. Returns the exit code: 1 when a part died."""
        self.listen()
        died = ""
        try:
            self.start()
            self._say("Ctrl-C ends everything.")
            end = clock.monotonic_seconds() + seconds if seconds is not None else None
            while not (died or self.ending.wait(POLL_SECONDS)):
                died = self.died()
                if end is not None and clock.monotonic_seconds() >= end:
                    break
        finally:
            if died:
                self._say(died)
            self.stop()
        return 1 if died else 0

    def listen(self) -> None:
        """Let signals set ``ending``. A second one, during the end, kills what is left."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = clock.monotonic_seconds()
        if not self.ending.is_set():
            self._first_signal_seconds = now
            self.ending.set()
        elif now - self._first_signal_seconds > SAME_SIGNAL_SECONDS:
            self._hurry = True

    def start(self) -> None:
        """Start every part. Raises StandaloneError; call :meth:`stop` then, too.

        Call it in the main thread: Linux ends the parts with the thread that started them.
        """
        if not settings.SETTINGS_MODULE:
            raise StandaloneError(
                "The settings come from no module, so other processes cannot load them. Set "
                "DJANGO_SETTINGS_MODULE."
            )
        address, queues = self.address_and_queues()
        _check_tables()
        self._say(f"database  {_database_text()}")
        self._start_redis(address)
        for number in range(1, self._workers + 1):
            name = "worker" if self._workers == 1 else f"worker {number}"
            bounds = (JOB_SECONDS_MAX, STOP_SECONDS_MAX)
            part = self._launch(name, ["cron_worker", *queues], bounds)
            self._say(
                f"{name:<9} queues {', '.join(queues)}; carries a runner; "
                f"process {part.process.pid}"
            )
        if self._web_port is not None:
            place = f"127.0.0.1:{self._web_port}"
            part = self._launch("web", ["runserver", place, "--noreload"])
            self._say(f"web       http://{place}/; process {part.process.pid}")

    def died(self) -> str:
        """Which part ended by itself, and how; empty while all live."""
        return next((part.fate for part in self.parts if part.fate), "")

    def stop(self) -> None:
        """End every part in order: workers, which still need Redis, then web, then Redis."""
        if not self.parts:
            return
        self._say(
            "Stopping. A job that is running may take up to "
            f"{JOB_SECONDS_MAX} s; Ctrl-C again to kill it."
        )
        for group in ("worker", "web", "redis"):
            self._stop_together([part for part in self.parts if part.name.startswith(group)])
        self.parts.clear()
        self._say("Stopped.")

    def _stop_together(self, parts: list[Part]) -> None:
        for step in range(max((len(part.stops_within_seconds) for part in parts), default=0)):
            alive = [part for part in parts if part.process.poll() is None]
            for part in alive:
                part.process.terminate()
            bound = max((part.stops_within_seconds[step] for part in alive), default=0)
            self._wait(alive, bound)
        for part in parts:
            if part.process.poll() is None:
                part.process.kill()
            part.process.wait()
            with suppress(ProcessLookupError):  # what a part left behind: a killed worker's runner
                os.killpg(part.process.pid, signal.SIGKILL)

    def _wait(self, parts: list[Part], seconds: float) -> None:
        end = clock.monotonic_seconds() + seconds
        for part in parts:
            while not self._hurry and clock.monotonic_seconds() < end:
                try:
                    part.process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    continue

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # nobody reads any more; the parts must end all the same
            self._tell(line)

    def address_and_queues(self) -> tuple[Address, list[str]]:
        """Where Redis is, and the queues to work on. Raises StandaloneError."""
        known = list(getattr(settings, "RQ_QUEUES", {}))
        for name in self._queues:
            if name not in known:
                raise StandaloneError(
                    f"Queue {name!r} is not in RQ_QUEUES; use one of {', '.join(known)}."
                )
        if not known:
            raise StandaloneError(
                "RQ_QUEUES is empty. Set RQ_QUEUES = {'default': {'URL': "
                "'redis://127.0.0.1:6379/0'}}."
            )
        if not self._queues:
            first = "default" if "default" in known else known[0]
            place = str(address_of(first))
            others = [n for n in known if n != first and str(address_of(n)) == place]
            return address_of(first), [first, *others]
        return address_of(self._queues[0]), self._queues

    def _start_redis(self, address: Address) -> None:
        if answers(address):
            self._say(f"redis     {address}, which was running already")
            return
        config = server_config(address)
        with tempfile.TemporaryFile() as log:
            part = self._launch("redis", ["redis"], stdin=config.encode(), output=log)
            end = clock.monotonic_seconds() + REDIS_SECONDS_MAX
            while not answers(address) and not self.ending.wait(POLL_SECONDS):
                if part.fate or clock.monotonic_seconds() > end:
                    log.seek(0)
                    last = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                    raise StandaloneError(
                        f"The Redis server that was started at {address} does not answer: "
                        f"{part.fate} {last}"
                    )
        self._say(f"redis     {address}, started here, in memory; process {part.process.pid}")

    def _launch(
        self,
        name: str,
        command: list[str],
        stops_within_seconds: tuple[float, ...] = (STOP_SECONDS_MAX,),
        *,
        stdin: bytes | None = None,
        output: IO[bytes] | None = None,
    ) -> Part:
        """Start a part that finds the same code and settings, from whatever file we were run."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
            "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),  # noqa: PTH100 - zip files, too
            "PYTHONUNBUFFERED": "1",
        }
        child = [sys.executable, "-P", "-m", f"{__package__}.child", str(os.getpid())]
        file = output or self._output
        process = subprocess.Popen(
            [*child, *command],
            env=environment,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT if file else None,
            process_group=0,
        )
        part = Part(name, process, stops_within_seconds)
        self.parts.append(part)
        if stdin is not None and process.stdin is not None:
            with process.stdin:
                process.stdin.write(stdin)
        return part


def _check_tables() -> None:
    alias = conf().database
    try:
        executor = MigrationExecutor(connections[alias])
        targets = [
            node
            for node in executor.loader.graph.leaf_nodes()
            if node[0] in ("rqcron_events", "rqcron_projections")
        ]
        missing = bool(executor.migration_plan(targets))
    except DatabaseError as error:
        raise StandaloneError(
            f"Database {alias!r} ({_database_text()}) does not work: {str(error).strip()}"
        ) from error
    if missing:
        raise StandaloneError(
            f"Database {alias!r} lacks tables of rqcron-events: run {migrate_command()}"
        )


def _database_text() -> str:
    db = connections[conf().database]
    return backend_of(db).place(db)
