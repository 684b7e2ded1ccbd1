"""Workers of a project's own."""

from __future__ import annotations

from typing import Any

from rq import Worker


class Watchful(Worker):
    """Looks at its work-horse each second; RQ's looks every thirty."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, job_monitoring_interval=1, **options)
