#!/usr/bin/env python
"""A month without a runner: how long catching up takes, and what it does to everything else.

``python benchmarks/catch_up.py [--crons 1000] [--days 30]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
from running import START_SECONDS_MAX
from servers import HERE, Servers, run_python, servers

ON_TIME = 10
LOOK_SECONDS = 0.05
SETTLE_SECONDS = 15
"""How long the crons that are on time are watched after the end of the catch-up."""
GIVE_UP_SECONDS = 900

_UNDECIDED = """
SELECT count(*) FROM bench_target AS target WHERE NOT EXISTS (
    SELECT 1 FROM rqcron_event AS event WHERE event.cron = target.cron
    AND event.type IN ('slot_fired', 'slot_skipped', 'slot_missed')
    AND event.scheduled_for >= target.slot)
"""
_ON_TIME = """
SELECT type, (data->>'count')::int, extract(epoch FROM recorded_at - scheduled_for)
FROM rqcron_event WHERE cron LIKE 'on_time_%%'
AND type IN ('slot_fired', 'slot_skipped', 'slot_missed') AND recorded_at <= %s
"""


@dataclass
class Round:
    """What one round showed; times in seconds."""

    days: float
    catch_up: float | None = None
    """From the first runner's start until no slot from before it is undecided."""
    lease_silent: float = 0.0
    """The longest time without a heartbeat of the leader."""
    lease_silent_at: float = 0.0
    """When that was, after the first runner's start."""
    leaders: int = 0
    on_time_fired: int = 0
    on_time_missed: int = 0
    on_time_lateness_p50: float = 0.0
    on_time_lateness_max: float = 0.0
    events: int = 0
    peak_mb: float = 0.0
    sigterm: float = 0.0
    """From SIGTERM to the end of the leading process."""
    sigterm_in_catch_up: float | None = None
    """The same, two seconds into another catch-up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crons", type=int, default=1_000)
    parser.add_argument("--days", type=float, default=30, help="the length of the downtime")
    parser.add_argument("--runners", type=int, default=2, help="one leads, the others stand by")
    parser.add_argument(
        "--no-calm", action="store_true", help="leave out the round without downtime"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", metavar="FILE", help="write the leader's profile there")
    parser.add_argument("--seed-history", metavar="ISO", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seed_history:
        _seed(datetime.fromisoformat(options.seed_history))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with servers() as found:
        rounds = [_round(found, options, options.days)]
        rounds[0].sigterm_in_catch_up = _stop_in_catch_up(found, options)
        if not options.no_calm:
            rounds.append(_round(found, options, 0.0))
    if options.json:
        print(json.dumps([asdict(one) for one in rounds]))
        return
    for name in asdict(rounds[0]):
        values = [getattr(one, name) for one in rounds]
        print(f"{name:22}" + "".join(f"{_shown(value):>10}" for value in values))


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _seed(since: datetime) -> None:
    """Register the crons then, and note the last slot that each had until now."""
    import django

    django.setup()
    from django.db import connection

    from rqcron_events.core.events import make
    from rqcron_events.ledger import store
    from rqcron_events.registry import registry

    now = datetime.now(UTC)
    batches, targets = [], []
    for cron in registry.crons.values():
        definition = cron.definition
        if definition.name.startswith("on_time_"):  # the runner registers them, when it starts
            continue
        batches.append(
            [
                make.cron_registered(
                    cron=definition.name,
                    version=1,
                    actor="runner/benchmark",
                    at=since,
                    definition=definition.to_data(),
                    definition_version=1,
                    effective_from=since,
                )
            ]
        )
        slot = definition.schedule.prev_until(now - timedelta(seconds=5))
        if slot is not None and slot > since:
            targets.append((definition.name, slot))
    assert not store.append_batches(batches).refused
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_target (cron text, slot timestamptz)")
        cursor.executemany("INSERT INTO bench_target VALUES (%s, %s)", targets)
        cursor.execute("ANALYZE")


class Runners:
    """Processes of ``cron_run``; who leads is read from the lease."""

    def __init__(self, stack: ExitStack, servers: Servers, options: Any, days: float) -> None:
        environment = stack.enter_context(
            servers.fresh(
                BENCH_CRONS=str(options.crons),
                BENCH_ON_TIME=str(ON_TIME),
                BENCH_SCHEDULES="mixed",
            )
        )
        since = datetime.now(UTC) - timedelta(days=days)
        run_python(["catch_up.py", "--seed-history", since.isoformat()], environment, 300)
        self.database = stack.enter_context(psycopg.connect(servers.url_of(), autocommit=True))
        command = ["-m", "django", "cron_run"]
        if options.profile:
            command = ["-m", "cProfile", "-o", str(Path(options.profile).absolute()), *command]
        self.started_at = time.monotonic()
        self.processes: list[subprocess.Popen[bytes]] = []
        for number in range(options.runners):
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=HERE,
                env=environment,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            self.processes.append(process)
            if not number:
                self.wait_for_leader()

    def wait_for_leader(self) -> None:
        while not self.lease()[0]:
            if time.monotonic() - self.started_at > START_SECONDS_MAX:
                raise SystemExit("cron_run does not come to lead. Run it by hand to see why.")
            time.sleep(LOOK_SECONDS)

    def lease(self) -> tuple[str, float]:
        """The leader, and how long ago it was heard of."""
        row = self.database.execute(
            "SELECT holder, extract(epoch FROM clock_timestamp() - renewed_at)::float8 "
            "FROM rqcron_lease WHERE name = 'leader' AND holder <> ''"
        ).fetchone()
        return row or ("", 0.0)

    def stop_leader(self) -> float:
        """SIGTERM, and the seconds until it has ended."""
        holder, _ = self.lease()
        leader = next((p for p in self.processes if f"-{p.pid}-" in holder), self.processes[0])
        asked_at = time.monotonic()
        leader.terminate()
        leader.wait(GIVE_UP_SECONDS)
        return time.monotonic() - asked_at


def _round(servers: Servers, options: Any, days: float) -> Round:
    found = Round(days)
    with ExitStack() as stack:
        runners = Runners(stack, servers, options, days)
        _watch(runners, found)
        rows = runners.database.execute(_ON_TIME, [datetime.now(UTC)]).fetchall()
        late = sorted(float(row[2]) for row in rows if row[0] == "slot_fired")
        found.on_time_fired = len(late)
        found.on_time_missed = sum(row[1] or 1 for row in rows if row[0] != "slot_fired")
        if late:
            found.on_time_lateness_p50 = late[len(late) // 2]
            found.on_time_lateness_max = late[-1]
        count = runners.database.execute("SELECT count(*) FROM rqcron_event").fetchone()
        found.events = count[0] if count else 0
        found.sigterm = runners.stop_leader()
    return found


def _watch(runners: Runners, found: Round) -> None:
    """Until the catch-up is over and has been for a while."""
    leader, ends_at, looked_at = "", None, 0.0
    while ends_at is None or time.monotonic() < ends_at:
        holder, silent = runners.lease()
        if holder and holder != leader:
            leader, found.leaders = holder, found.leaders + 1
        if holder and silent > found.lease_silent:
            found.lease_silent, found.lease_silent_at = (
                silent,
                time.monotonic() - runners.started_at,
            )
        for process in runners.processes:
            found.peak_mb = max(found.peak_mb, psutil.Process(process.pid).memory_info().rss / 1e6)
        now = time.monotonic()
        if ends_at is None and now - looked_at > 0.5:
            left = runners.database.execute(_UNDECIDED).fetchone()
            looked_at = time.monotonic()
            if left == (0,):
                found.catch_up = now - runners.started_at
                ends_at = now + SETTLE_SECONDS
            elif now - runners.started_at > GIVE_UP_SECONDS:
                return
        time.sleep(LOOK_SECONDS)


def _stop_in_catch_up(servers: Servers, options: Any) -> float:
    with ExitStack() as stack:
        runners = Runners(stack, servers, options, options.days)
        time.sleep(2)
        return runners.stop_leader()


if __name__ == "__main__":
    main()
