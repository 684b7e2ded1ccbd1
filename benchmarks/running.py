"""What a runner does by the real clock: how late it is, and what it costs when nothing is due."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Any

import psutil
import psycopg
from servers import HERE, Servers

START_SECONDS_MAX = 900
"""Ten million events are folded."""
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


def sustained(servers: Servers, rate: int, seconds: float, period: int) -> dict[str, Any]:
    """So many slots in each second, of crons that are due every ``period`` seconds: how late they are, and how far
    the projections are behind."""
    with _runner(servers, rate * period, "spread", BENCH_PERIOD_SECONDS=str(period)) as process:
        time.sleep(SETTLE_SECONDS)
        processes = [process, *process.children()]
        before, started = _cpu_seconds(processes), time.monotonic()
        with psycopg.connect(servers.url_of(), autocommit=True) as connection:
            first = connection.execute("SELECT now()").fetchone()[0]
            time.sleep(seconds)
            behind = connection.execute(
                "SELECT extract(epoch FROM now() - coalesce((SELECT min(recorded_at) FROM rqcron_event "
                "WHERE id > (SELECT min(position) FROM rqcron_checkpoint)), now()))"
            ).fetchone()[0]
        cpu, wall = _cpu_seconds(processes) - before, time.monotonic() - started
    with psycopg.connect(servers.url_of()) as connection:
        found = connection.execute(
            "SELECT type, count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY "
            "extract(epoch FROM occurred_at - scheduled_for)) FROM rqcron_event WHERE type IN "
            "('run_enqueued', 'slot_skipped', 'slot_missed') AND scheduled_for >= %s AND "
            "scheduled_for < %s GROUP BY type",
            [first, first + timedelta(seconds=seconds)],
        ).fetchall()
    by_type = {row[0]: row[1:] for row in found}
    enqueued, cuts = by_type.get("run_enqueued", (0, [None, None]))
    return {
        "slots_per_second": rate,
        "crons": rate * period,
        "seconds": wall,
        "enqueued_per_second": enqueued / seconds,
        "passed_over": sum(by_type.get(name, (0,))[0] for name in ("slot_skipped", "slot_missed")),
        "p50_ms": cuts[0] and cuts[0] * 1000,
        "p99_ms": cuts[1] and cuts[1] * 1000,
        "projections_behind_seconds": float(behind),
        "cpu_percent": cpu / wall * 100,
    }


def lateness_of(
    connection: psycopg.Connection[Any], since: datetime, until: datetime
) -> dict[str, Any]:
    """What became of the slots between these times."""
    found = connection.execute(
        "SELECT extract(epoch FROM occurred_at - scheduled_for) * 1000 FROM rqcron_event "
        "WHERE type = 'run_enqueued' AND occurred_at >= %s AND occurred_at < %s ORDER BY 1",
        [since, until],
    ).fetchall()
    counts = connection.execute(
        "SELECT count(*) FILTER (WHERE type IN ('slot_skipped', 'slot_missed')), "
        "count(*) FILTER (WHERE type = 'run_succeeded') FROM rqcron_event "
        "WHERE occurred_at >= %s AND occurred_at < %s",
        [since, until],
    ).fetchone()
    cuts = quantiles([float(row[0]) for row in found], n=100)
    return {
        "slots": len(found),
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": float(found[-1][0]),
        "passed_over": counts[0],
        "succeeded": counts[1],
    }


def idle(servers: Servers, crons: int, seconds: float) -> dict[str, Any]:
    """A runner whose crons are due in months, and what follows beside it: its first start, its second one,
    and then processor time and memory."""
    schedules = "yearly"
    with servers.fresh(BENCH_CRONS=str(crons), BENCH_SCHEDULES=schedules) as environment:
        with running(servers, environment, crons) as (_, first_start_seconds):
            pass
        with running(servers, environment, crons) as (process, start_seconds):
            _wait_until_settled(servers)
            time.sleep(SETTLE_SECONDS)
            processes = [process, *process.children()]
            before, started = _cpu_seconds(processes), time.monotonic()
            time.sleep(seconds)
            cpu_seconds, wall_seconds = _cpu_seconds(processes) - before, time.monotonic() - started
            memory = [each.memory_full_info() for each in processes]
    return {
        "crons": crons,
        "first_start_seconds": first_start_seconds,
        "start_seconds": start_seconds,
        "seconds": wall_seconds,
        "processes": len(processes),
        "cpu_percent": cpu_seconds / wall_seconds * 100,
        "rss_mb": sum(each.rss for each in memory) / 1e6,
        "uss_mb": sum(each.uss for each in memory) / 1e6,
    }


def _wait_until_settled(servers: Servers) -> None:
    """The snapshot is saved, and the projections have all that was registered."""
    deadline = time.monotonic() + START_SECONDS_MAX
    with psycopg.connect(servers.url_of(), autocommit=True) as connection:
        while time.monotonic() < deadline:
            [settled] = connection.execute(
                "SELECT (SELECT max(position) FROM rqcron_snapshot) IS NOT NULL AND "
                "(SELECT min(position) FROM rqcron_checkpoint) >= (SELECT max(id) FROM rqcron_event)"
            ).fetchone()
            if settled:
                return
            time.sleep(1)
    raise SystemExit("Snapshot and projections were not up to date.")


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


@contextmanager
def _runner(
    servers: Servers, crons: int, schedules: str, **variables: str
) -> Iterator[psutil.Process]:
    """``manage.py cron_run`` that leads already, with an empty ledger."""
    with (
        servers.fresh(
            BENCH_CRONS=str(crons), BENCH_SCHEDULES=schedules, **variables
        ) as environment,
        running(servers, environment, crons) as (process, _),
    ):
        yield process


@contextmanager
def running(
    servers: Servers, environment: dict[str, str], crons: int
) -> Iterator[tuple[psutil.Process, float]]:
    """The process, and the seconds from its start until it leads and has its crons."""
    command = [sys.executable, "-m", "django", "cron_run"]
    began = time.monotonic()
    with subprocess.Popen(command, cwd=HERE, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for_leader(servers, process, crons)
            yield psutil.Process(process.pid), time.monotonic() - began
        finally:
            process.terminate()
            process.wait(START_SECONDS_MAX)


def _wait_for_leader(servers: Servers, process: subprocess.Popen[bytes], crons: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    with psycopg.connect(servers.url_of(), autocommit=True) as connection:
        while time.monotonic() < deadline and process.poll() is None:
            [leads, registered] = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM rqcron_lease WHERE name = 'leader' AND holder <> ''), "
                "(SELECT count(*) FROM rqcron_event WHERE type = 'cron_registered')"
            ).fetchone()
            if leads and registered >= crons:
                return
            time.sleep(0.1)
    raise SystemExit("cron_run does not come to lead. Run it by hand to see why.")
