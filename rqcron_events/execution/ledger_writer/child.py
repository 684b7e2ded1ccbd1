"""The worker's side: keeping the writer alive, and a channel to it for each work-horse."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.job import Job
from rq.worker import SpawnWorker

from ... import clock
from ...conf import conf
from ...core.events import Event
from ..run_request import JOB_ID_PREFIX
from . import channel, process
from .channel import ask_ahead

__all__ = ["WriterChild"]

log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""From one start to the next, at least."""
STOP_SECONDS_MAX = 2.0
STOP_POLL_SECONDS = 0.02
TO_THE_FUNCTION = (
    "fork_work_horse", "main_work_horse", "perform_job", "prepare_job_execution",
)  # fmt: skip
"""What RQ's workers do between taking a job up and calling its function. A class with ways of its own may
not call it."""

FirstStart = Callable[[Job, str], Event | None]
"""What to record when the worker of this name begins with a job; None when that has to be judged."""


class WriterChild:
    """The writer, as a forked child. It is started when the first work-horse needs it, and again when it
    has died or hangs; it dies with the worker.

    A fork, where ``KeptChild`` is a new interpreter: it takes no memory of its own, and holds as little
    of the worker as a work-horse does.
    """

    def __init__(self, first_start: FirstStart) -> None:
        self._first_start = first_start
        self._redis: Redis | None = None
        """Where the jobs come from."""
        self._pid = 0
        self._control: socket.socket | None = None
        self._started_at = -RESTART_SECONDS
        self._waiting = 0
        """Channels that it has not taken up yet."""
        self._waiting_since = 0.0

    def watch(self, worker: Worker) -> Worker:
        """Give this worker's work-horses a channel, if it forks them. On the instance, because the class is the
        project's choice."""
        fork = getattr(worker, "fork_work_horse", None)
        if fork is None or isinstance(worker, SpawnWorker):  # they would not inherit it
            return worker
        kind = type(worker)
        goes_straight = all(getattr(kind, it) is getattr(Worker, it) for it in TO_THE_FUNCTION)
        self._redis = worker.connection

        def fork_with_channel(job: Job, queue: Queue) -> None:
            if not job.id.startswith(JOB_ID_PREFIX):
                fork(job, queue)
                return
            ahead = self._first_start(job, worker.name) if goes_straight else None
            with self._channel(ahead):
                fork(job, queue)

        patched: Any = worker
        patched.fork_work_horse = fork_with_channel
        return worker

    def stop(self) -> None:
        """End it, and wait for that."""
        if self._control is None:
            return
        with self._control, suppress(OSError):
            self._control.send(process.STOP)
        ends_at = clock.monotonic_seconds() + STOP_SECONDS_MAX
        while self._is_alive() and clock.monotonic_seconds() < ends_at:
            time.sleep(STOP_POLL_SECONDS)
        self._kill()

    @contextmanager
    def _channel(self, ahead: Event | None) -> Iterator[None]:
        """Around a fork; without a writer the work-horse has none, and writes by itself."""
        ends = self._ends()
        if ends is None:
            yield
            return
        mine, its = ends
        with mine:
            if ahead is not None and not ask_ahead(mine, ahead):
                ahead = None
            is_offered = self._offer(its)
            its.close()  # before the fork: who holds both ends never notices that the writer died
            if not is_offered:
                yield
                return
            with channel.offered(mine, ahead):
                yield

    def _ends(self) -> tuple[socket.socket, socket.socket] | None:
        """The work-horse's and the writer's; None without a writer."""
        try:
            return socket.socketpair() if self._is_ready() else None
        except OSError as error:  # no process, no memory or no file is left
            log.warning(
                "This worker has no writer beside it now (%s); its work-horses write by themselves.",
                error,
                extra={"action": "writer_missing"},
            )
            return None

    def _offer(self, end: socket.socket) -> bool:
        assert self._control is not None
        try:
            socket.send_fds(self._control, [process.NEW_CHANNEL], [end.fileno()])
        except OSError:  # it has just died, or has not listened for long
            return False
        if not self._waiting:
            self._waiting_since = clock.monotonic_seconds()
        self._waiting += 1
        return True

    def _is_ready(self) -> bool:
        if self._is_alive() and self._hangs():
            self._kill()
        if self._pid:
            return True
        if clock.monotonic_seconds() - self._started_at < RESTART_SECONDS:
            return False
        if self._control is not None:
            log.warning(
                "The writer beside this worker has died or hung; it is started again.",
                extra={"action": "writer_restarted"},
            )
            self._control.close()
            self._control = None
        self._start()
        return True

    def _start(self) -> None:
        self._started_at = clock.monotonic_seconds()
        mine, its = socket.socketpair()
        worker_pid = os.getpid()
        # Its worker ends it, which is the last to need it when all of them are asked to end. And no handler
        # of RQ's may run in it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self._pid = os.fork()
            if self._pid == 0:
                try:
                    mine.close()
                    assert self._redis is not None
                    process.run(its, worker_pid, self._redis)
                except Exception:
                    log.exception("The writer failed.", extra={"action": "writer_failed"})
                finally:
                    os._exit(0)
        except OSError:
            mine.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            its.close()
        mine.setblocking(False)
        self._control, self._waiting = mine, 0

    def _is_alive(self) -> bool:
        if self._pid:
            try:
                ended, _ = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                ended = self._pid
            if ended:
                self._pid = 0
        return self._pid != 0

    def _hangs(self) -> bool:
        """It did not take up a channel for as long as a job waits for the database."""
        assert self._control is not None
        with suppress(OSError):
            self._waiting -= len(self._control.recv(1 << 12))
        waited = clock.monotonic_seconds() - self._waiting_since
        return self._waiting > 0 and waited > conf().worker_wait_seconds

    def _kill(self) -> None:
        if self._is_alive():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
