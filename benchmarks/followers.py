"""How far behind the log projections, alerts and traces are, and whether a slot is later with them.

    .venv/bin/python benchmarks/followers.py [--crons 10000] [--rate 200] [--seconds 60] [--rounds 2]

A real ``cron_run`` decides RATE slots a second by the real clock; ``simulated_worker.py`` appends what workers
would. Three variants, interleaved: nothing follows the log; all follow, and receivers answer; all follow, and no
receiver is there.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median, quantiles
from typing import Any

import psycopg
from running import START_SECONDS_MAX, _wait_for_leader
from servers import HERE, Servers, servers

WARM_UP_SECONDS = 15
"""Registering ten thousand crons is not what is measured."""
VARIANTS = {"none": "nothing follows", "all": "all follow", "dead": "all follow, receivers dead"}
FOLLOWERS = {"alerts": "alerts", "traces": "traces"}
"""By the name of the checkpoint; all others are the projections'."""
NOBODY = "http://127.0.0.1:9"
LAG = """
    SELECT name, (SELECT max(id) FROM rqcron_event) - position AS events, (
        SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM rqcron_event
        WHERE id > position ORDER BY id LIMIT 1
    ) AS seconds
    FROM rqcron_checkpoint
"""
LATENESS = """
    SELECT (extract(epoch FROM occurred_at - scheduled_for) * 1000)::float8 FROM rqcron_event
    WHERE type = 'run_enqueued' AND scheduled_for BETWEEN to_timestamp(%s) AND to_timestamp(%s)
"""


class Receiver(ThreadingHTTPServer):
    """Takes all that is posted, and counts it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posted)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.posts: dict[str, int] = defaultdict(int)


class Posted(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts[self.path] += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def measure(found: Servers, variant: str, options: argparse.Namespace) -> dict[str, Any]:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = NOBODY if variant == "dead" else receiver.url
    variables = {
        "BENCH_CRONS": str(options.crons),
        "BENCH_SCHEDULES": "spread",
        "BENCH_PERIOD_SECONDS": str(max(options.crons // options.rate, 1)),
        "BENCH_SIGNALS": variant,
        "BENCH_HOOK": f"{url}/hook",
        "BENCH_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "DJANGO_SETTINGS_MODULE": "settings_signals",
    }
    with found.fresh(**variables) as environment, _started(found, environment):
        time.sleep(WARM_UP_SECONDS)
        began = time.time()
        lag = _watch(found, options.seconds)
        time.sleep(2)  # what was due last is in Redis
        with psycopg.connect(found.url_of()) as connection:
            rows = connection.execute(LATENESS, [began, began + options.seconds - 1]).fetchall()
            told = _told(connection) if variant != "none" else {}
    receiver.shutdown()
    late = sorted(row[0] for row in rows)
    cuts = quantiles(late, n=100)
    return {
        "variant": variant,
        "slots": len(late),
        "slots_per_second": len(late) / options.seconds,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": late[-1],
        "lag": lag,
        "posts": dict(receiver.posts),
        "messages": told,
        "load": os.getloadavg()[0],
    }


@contextmanager
def _started(found: Servers, environment: dict[str, str]) -> Iterator[None]:
    quiet = {"cwd": HERE, "env": environment, "stderr": subprocess.DEVNULL}
    runner = subprocess.Popen([sys.executable, "-m", "django", "cron_run"], **quiet)
    worker = subprocess.Popen([sys.executable, "simulated_worker.py"], **quiet)
    try:
        _wait_for_leader(found, runner, int(environment["BENCH_CRONS"]))
        yield
        for process in (runner, worker):
            if process.poll() is not None:
                raise SystemExit(f"{process.args} has ended.")
    finally:
        worker.kill()
        runner.terminate()
        runner.wait(START_SECONDS_MAX)
        worker.wait(START_SECONDS_MAX)


def _watch(found: Servers, seconds: float) -> dict[str, Any]:
    """Once a second, how far behind each is: the oldest event that it has not dealt with."""
    samples: dict[str, list[tuple[int, float]]] = defaultdict(list)
    ends = time.monotonic() + seconds
    with psycopg.connect(found.url_of(), autocommit=True) as connection:
        while time.monotonic() < ends:
            now: dict[str, tuple[int, float]] = {}
            for name, events, age in connection.execute(LAG).fetchall():
                follower = FOLLOWERS.get(name, "projections")
                behind = (max(events, 0), max(age or 0.0, 0.0))
                now[follower] = max(behind, now.get(follower, (0, 0.0)))
            for follower, behind in now.items():
                samples[follower].append(behind)
            time.sleep(1)
    return {
        name: {
            "p50_events": median(item[0] for item in found),
            "max_events": max(item[0] for item in found),
            "p50_seconds": median(item[1] for item in found),
            "max_seconds": max(item[1] for item in found),
            "end_seconds": found[-1][1],
        }
        for name, found in samples.items()
    }


def _told(connection: psycopg.Connection[Any]) -> dict[str, int]:
    rows = connection.execute("SELECT status, count(*) FROM rqcron_alert_message GROUP BY status")
    return dict(rows.fetchall())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crons", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=200, help="Slots per second.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    with servers() as found:
        for number in range(options.rounds):
            for variant in VARIANTS:
                result = measure(found, variant, options) | {"round": number + 1}
                results.append(result)
                if not options.json:
                    _print(result)
    if options.json:
        print(json.dumps(results))


def _print(result: dict[str, Any]) -> None:
    print(
        f"round {result['round']}, {VARIANTS[result['variant']]}: {result['slots_per_second']:.0f} slots/s, "
        f"in Redis after p50 {result['p50_ms']:.0f} ms, p99 {result['p99_ms']:.0f} ms, at most "
        f"{result['max_ms']:.0f} ms (load {result['load']:.1f})"
    )
    for name, lag in result["lag"].items():
        print(
            f"    {name:<12} behind by {lag['p50_events']:,.0f} events ({lag['p50_seconds']:.1f} s), at most "
            f"{lag['max_events']:,} ({lag['max_seconds']:.1f} s), at the end {lag['end_seconds']:.1f} s"
        )
    if result["messages"]:
        print(f"    alerts {result['messages']}, posts {result['posts']}", flush=True)


if __name__ == "__main__":
    main()
