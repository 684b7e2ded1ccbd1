"""An RQ worker that carries a runner in its own process tree."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connections
from django_rq.workers import get_worker
from rq import Worker
from rq.serializers import resolve_serializer

from ...conf import rq_queues
from ...errors import CronConfigError
from ...registry import registry
from ..ledger_writer.child import WriterChild
from .patient_worker import PatientWorker

__all__ = ["RunnerChild", "queues_of_crons", "work"]

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
RESTART_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 8.0


class RunnerChild:
    """``cron_run`` as a child process, started again if it dies.

    A new interpreter rather than a fork: RQ's worker has threads by then. It dies with the worker,
    even when the worker is killed.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="rqcron-carrier", daemon=True)

    def start(self) -> None:
        self._process = self._spawn()
        self._thread.start()

    def stop(self) -> None:
        """Ask the runner to end, and wait for it."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def request_stop(self) -> None:
        """Ask the runner to end without waiting; safe in a signal handler."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # "-m django" and the whole sys.path: the project may have any manage.py, or none.
        command = [
            sys.executable,
            "-m",
            "django",
            "cron_run",
            "--die-with-parent",
            str(os.getpid()),
        ]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)

    def _keep(self) -> None:
        pause = RESTART_SECONDS
        while self._process is not None:
            started = time.monotonic()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > RESTART_SECONDS_MAX:
                pause = RESTART_SECONDS
            log.error(
                "The runner ended with exit code %s; it is started again in %.0f s.",
                code,
                pause,
                extra={"action": "runner_restarted", "exit_code": code},
            )
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, RESTART_SECONDS_MAX)
            self._process = self._spawn()


def work(queues: list[str], *, burst: bool, options: dict[str, Any]) -> None:
    """Run django-rq's worker on the queues, with a writer beside it, and a runner unless ``burst``.

    Redis that is away is waited for, unless ``burst``. Raises redis-py's errors, what RQ and
    django-rq raise for a worker that cannot start, and CronConfigError when no single serializer
    reads the jobs of all queues.
    """
    with_scheduler = options.pop("with_scheduler") or _retries_wait()
    limits = {key: options.pop(key) for key in ("max_jobs", "max_idle_time")}
    level = options.pop("logging_level")
    serializer = _serializer(queues, options.pop("serializer", None))
    writer = WriterChild()

    def make() -> Worker:
        return writer.watch(get_worker(*queues, serializer=serializer, **options))

    # Connections must not be shared with the work-horses that are forked.
    connections.close_all()
    limits |= {"with_scheduler": with_scheduler, "logging_level": level}
    try:
        if burst:
            make().work(burst=True, **limits)
        else:
            _work_beside_runner(make, limits)
    finally:
        writer.stop()


def _work_beside_runner(make: Callable[[], Worker], limits: dict[str, Any]) -> None:
    child = RunnerChild()
    child.start()
    try:
        PatientWorker(make, on_stop=child.request_stop).work(**limits)
    finally:
        child.stop()


def queues_of_crons() -> list[str]:
    """Those that this code's crons need, in the order of RQ_QUEUES; where there are none, ``default``
    or the first one."""
    needed = {cron.definition.queue for cron in registry.crons.values()}
    found = [name for name in rq_queues() if name in needed]
    known = [*rq_queues()]
    return found or (["default"] if "default" in known else known[:1])


def _serializer(queues: list[str], wanted: Any) -> Any:
    """A worker reads all its jobs with one; RQ asks nobody for that of the queues."""
    found: dict[str, Any] = {name: rq_queues()[name].get("SERIALIZER") for name in queues}
    given = wanted if wanted is not None else found[queues[0]]
    for name, own in found.items():
        if resolve_serializer(own) is not resolve_serializer(given):
            raise CronConfigError(
                f"Queue {name!r} has SERIALIZER {own or 'pickle'} in RQ_QUEUES, which a worker with "
                f"{given or 'pickle'} cannot read. Start a worker for the queues of each serializer, "
                "and let --serializer be the one of its queues."
            )
    return given


def _retries_wait() -> bool:
    """RQ needs its scheduler to enqueue a retry after an interval; without one it never runs."""
    return any(
        cron.definition.retries is not None and any(cron.definition.retries.intervals)
        for cron in registry.crons.values()
    )
