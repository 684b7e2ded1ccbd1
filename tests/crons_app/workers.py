"""Workers of a project's own."""

from __future__ import annotations

import io
import logging
import os
import signal
from typing import Any

from rq import Worker


class Watchful(Worker):
    """Looks at its work-horse each second; RQ's looks every thirty."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, job_monitoring_interval=1, **options)


class AskedToEndWhileItLogs(Worker):
    """SIGTERM reaches it in the middle of a line of the log, just before it waits for a job. The standard
    library's handlers go on after any ``Exception`` there, and RQ's StopRequested is one."""

    def procline(self, message: str) -> None:
        super().procline(message)
        if message.startswith("Listening"):
            line = logging.makeLogRecord({"msg": "in the middle"})
            logging.StreamHandler(_Terminates()).handle(line)


class _Terminates(io.StringIO):
    def write(self, text: str) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)
