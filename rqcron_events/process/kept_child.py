"""A child process that is kept alive: started again when it ends, or when it hangs."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from .stop_flag import StopFlag

__all__ = ["ALIVE", "BUSY", "KeptChild"]

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
RESTART_SECONDS_MAX = 30.0
START_SECONDS_MAX = 300.0
"""Until its first word: loading a project takes a minute on a machine with much to do."""
ASKED_TOO_SECONDS = 1.0
"""How long after a child that ended as if asked to its parent may be asked, too."""
ALIVE, BUSY = b".", b"+"
"""What a child says. After the second it may be silent for as long as it likes, until it says the first."""


class KeptChild:
    """``python ARGUMENTS...`` as a child process, started again if it dies.

    A new interpreter rather than a fork: whoever needs one has threads by then. The child has to end with
    its parent by itself (``parent_watch``). All that can take long is done in a thread.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        name: str,
        about: Mapping[str, str],
        stop_seconds_max: float,
        silent_seconds_max: float | None = None,
    ) -> None:
        """``name`` (after "The") and ``about`` (with its ``action``) are for the log. ``stop_seconds_max``: how long it may take
        to end when it is asked to. ``silent_seconds_max``: it gets one more argument, the file descriptor
        of a pipe, and is ended when it has not written to that for so long, or not at all within
        ``START_SECONDS_MAX``; None: nobody looks."""
        self._arguments = list(arguments)
        self._name = name
        self._about = dict(about)
        self._stop_seconds_max = stop_seconds_max
        self._silent_seconds_max = silent_seconds_max
        self._process: subprocess.Popen[bytes] | None = None
        self._says: int | None = None
        """Our end of the pipe."""
        self._stopping = StopFlag()
        self._thread = threading.Thread(target=self._keep, name=f"rqcron-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def request_stop(self) -> None:
        """Ask it to end without waiting; safe in a signal handler."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()

    def stop(self) -> None:
        """Ask it to end, and wait for it."""
        self.request_stop()
        process = self._process
        if process is not None:
            self._end(process)
        if self._thread.is_alive():
            self._thread.join(self._stop_seconds_max)

    def _keep(self) -> None:
        pause = RESTART_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            code: int | None = None
            try:
                code = self._once()
                told = f"ended with exit code {code}"
            except OSError as error:  # no memory, no process, no file to be had: there may be later
                told = f"cannot be started ({error})"
            # Who stops a service asks all of its processes at once, and the child may be the first to end.
            if self._stopping.wait(ASKED_TOO_SECONDS if code == 0 else 0):
                return
            if time.monotonic() - started > RESTART_SECONDS_MAX:
                pause = RESTART_SECONDS
            log.error(
                "The %s %s; it is started again in %.0f s.",
                self._name,
                told,
                pause,
                extra={**self._about, "exit_code": code},
            )
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, RESTART_SECONDS_MAX)

    def _once(self) -> int:
        """One life of the child; returns its exit code."""
        process = self._spawn()
        if self._stopping.is_set():  # asked while it was not there yet
            process.terminate()
        self._wait(process)
        return process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, *self._arguments]
        # The whole sys.path: the project may have any manage.py, or none.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        if self._silent_seconds_max is None:
            self._process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
            return self._process
        self._says, its = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, str(its)], env=env, stdin=subprocess.DEVNULL, pass_fds=(its,)
            )
        except OSError:
            os.close(self._says)
            self._says = None
            raise
        finally:
            os.close(its)
        return self._process

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until it has ended, or was ended because it hangs."""
        if self._says is not None:
            with suppress(OSError):
                self._listen(self._says, process)
            os.close(self._says)
            self._says = None

    def _listen(self, says: int, process: subprocess.Popen[bytes]) -> None:
        seconds: float | None = START_SECONDS_MAX
        while select.select([says], [], [], seconds)[0]:
            said = os.read(says, 1 << 12)
            if not said:  # it has ended
                return
            seconds = None if said.endswith(BUSY) else self._silent_seconds_max
        log.error(
            "The %s hangs: it has said nothing for %.0f s. It is ended.",
            self._name,
            seconds,
            extra=self._about,
        )
        process.terminate()
        self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(self._stop_seconds_max)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
