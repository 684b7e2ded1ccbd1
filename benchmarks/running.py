"""What a runner does by the real clock: how late it is, and what it costs when nothing is due."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import Any

import psutil
import psycopg
from servers import HERE, Servers

START_SECONDS_MAX = 60
SETTLE_SECONDS = 10


def lateness(servers: Servers, crons: int, seconds: float) -> dict[str, Any]:
    """From the slot to the moment its job was in Redis, for crons that are all due together."""
    with _runner(servers, crons, "every_five_seconds"):
        time.sleep(seconds)
    with psycopg.connect(servers.url_of()) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM occurred_at - scheduled_for) * 1000 FROM rqcron_event "
            "WHERE type = 'run_enqueued' ORDER BY 1"
        ).fetchall()
    found = [float(row[0]) for row in rows]
    if len(found) < crons:
        raise SystemExit(f"Only {len(found)} runs of {crons} crons were enqueued.")
    cuts = quantiles(found, n=100)
    return {
        "crons": crons,
        "slots": len(found),
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": found[-1],
    }


def idle(servers: Servers, crons: int, seconds: float) -> dict[str, Any]:
    """Processor time and memory of a runner whose crons are due in months, and of what follows beside it."""
    with _runner(servers, crons, "yearly") as process:
        time.sleep(SETTLE_SECONDS)
        processes = [process, *process.children()]
        before, started = _cpu_seconds(processes), time.monotonic()
        time.sleep(seconds)
        cpu_seconds, wall_seconds = _cpu_seconds(processes) - before, time.monotonic() - started
        memory = [each.memory_full_info() for each in processes]
    return {
        "crons": crons,
        "seconds": wall_seconds,
        "processes": len(processes),
        "cpu_percent": cpu_seconds / wall_seconds * 100,
        "rss_mb": sum(each.rss for each in memory) / 1e6,
        "uss_mb": sum(each.uss for each in memory) / 1e6,
    }


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


@contextmanager
def _runner(servers: Servers, crons: int, schedules: str) -> Iterator[psutil.Process]:
    """``manage.py cron_run`` that leads already."""
    with servers.fresh(BENCH_CRONS=str(crons), BENCH_SCHEDULES=schedules) as environment:
        command = [sys.executable, "-m", "django", "cron_run"]
        with subprocess.Popen(
            command, cwd=HERE, env=environment, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _wait_for_leader(servers, process)
                yield psutil.Process(process.pid)
            finally:
                process.terminate()
                process.wait(START_SECONDS_MAX)


def _wait_for_leader(servers: Servers, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    with psycopg.connect(servers.url_of(), autocommit=True) as connection:
        while time.monotonic() < deadline and process.poll() is None:
            if connection.execute(
                "SELECT 1 FROM rqcron_lease WHERE name = 'leader' AND holder <> ''"
            ).fetchone():
                return
            time.sleep(0.1)
    raise SystemExit("cron_run does not come to lead. Run it by hand to see why.")
