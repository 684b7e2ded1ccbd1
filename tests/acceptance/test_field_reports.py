"""What other schedulers did, shown with real processes; ``docs/field-reports.md``."""

from __future__ import annotations

import os
from pathlib import Path

from redis import Redis

from rqcron_events.models import CronEvent
from tests.processes import Project


def test_runner_and_rqs_scheduler_start_where_python_does_not_fork(
    project: Project, redis_connection: Redis, tmp_path: Path
):
    """rq 2348: with the start method of Python 3.14 the scheduler never started, silently."""
    place = tmp_path / "as_python_3_14"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "import multiprocessing\nmultiprocessing.set_start_method('forkserver')\n"
    )
    path = project.environment["PYTHONPATH"]
    project.environment["PYTHONPATH"] = os.pathsep.join([str(place), path])
    worker = project.start("cron_worker", "default", "--with-scheduler")
    project.wait_until(CronEvent.objects.for_cron("quick").of_type("run_succeeded").exists)

    def is_born() -> bool:
        """RQ's scheduler writes its process id when it begins, in a process of its own."""
        keys = redis_connection.keys("rq:scheduler:*")
        pids = [int(redis_connection.hget(key, "pid") or 0) for key in keys]
        return any(pid not in (0, worker.pid) for pid in pids)

    project.wait_until(is_born)
    assert worker.stop() == 0
