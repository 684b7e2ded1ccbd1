#!/usr/bin/env python
"""A year of crons with an archive: whether the log stays small, and all of the year can still be answered.

``python benchmarks/year.py [--crons 100] [--every 3600] [--keep 90] [--days 365]``; see README.md beside this file.

Each ten days of events are written as a runner and workers would have left them; then they are folded, sealed and
archived by the code that does it beside a runner. At the end: an audit and a verification of the whole year, and the
projections compared with a replay over archive and log.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from audit import COLUMNS, _row
from servers import HERE, servers

START = datetime(2025, 3, 1, tzinfo=UTC)
STEP_DAYS = 10
SIZES = """
    SELECT pg_table_size('rqcron_event'), pg_indexes_size('rqcron_event'),
        pg_total_relation_size('rqcron_tile') + pg_total_relation_size('rqcron_seal'),
        pg_total_relation_size('rqcron_day'), pg_total_relation_size('rqcron_run')
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crons", type=int, default=100)
    parser.add_argument("--every", type=int, default=3_600, help="seconds between slots")
    parser.add_argument("--keep", type=int, default=90, help="days in the database")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.url:
        _simulate(options)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with servers() as found, found.fresh() as environment:
        print(f"load before {os.getloadavg()[0]:.1f}")
        words = [
            f"--{name}={getattr(options, name)}" for name in ("crons", "every", "keep", "days")
        ]
        line = [sys.executable, "year.py", *words, "--url", found.url_of()]
        sys.exit(subprocess.run(line, cwd=HERE, env=environment, check=False).returncode)


def _simulate(options: argparse.Namespace) -> None:
    import django
    from django.conf import settings

    django.setup()
    from rqcron_events.core.seal.note import new_signer

    key = new_signer("example.org/bench")
    with tempfile.TemporaryDirectory(prefix="rqcron-bench-") as directory:
        settings.RQCRON_SEAL_KEY = key.secret_text()
        settings.STORAGES = {
            **settings.STORAGES,
            "archive": {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": directory},
            },
        }
        settings.RQCRON_ARCHIVE = {"storage": "archive"}
        settings.RQCRON_RUN_DAYS = options.keep
        year = _Year(options, key)
        for day in range(0, options.days, STEP_DAYS):
            year.step(day, min(STEP_DAYS, options.days - day))
        year.end()


class _Year:
    def __init__(self, options: argparse.Namespace, key: Any) -> None:
        self.options, self.key = options, key
        self.names = [f"cron_{number:03}" for number in range(options.crons)]
        self.versions = dict.fromkeys(self.names, 0)
        self.events = 0
        self.now = START

    def step(self, day: int, days: int) -> None:
        from rqcron_projections.projector import catch_up

        from rqcron_events.archive.archiving import archive
        from rqcron_events.seals.sealer import seal_all
        from rqcron_events.testing import FakeClock

        begin = START + timedelta(days=day)
        self.now = begin + timedelta(days=days)
        wrote = _seconds(lambda: self._write(begin, self.now))
        with FakeClock(self.now):
            folded = _seconds(catch_up)
            sealed = _seconds(lambda: seal_all(self.key))
            before = self.now - timedelta(days=self.options.keep)
            began = time.perf_counter()
            done = archive(before, "runner/bench")
            took = time.perf_counter() - began
        with psycopg.connect(self.options.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE rqcron_event, rqcron_tile, rqcron_run")
            table, indexes, seals, of_days, runs = connection.execute(SIZES).fetchone()
        print(
            f"day {day + days:4}: {self.events:10,} events; log MB {table / 1e6:6.1f} + indexes "
            f"{indexes / 1e6:6.1f}, seals {seals / 1e6:5.1f}, runs {runs / 1e6:6.1f}, days "
            f"{of_days / 1e6:5.1f}; s: write {wrote:5.1f}, fold {folded:5.1f}, seal {sealed:5.1f}, "
            f"archive {took:5.1f} ({done.events:,} events, {done.removed_rows:,} rows gone)",
            flush=True,
        )

    def end(self) -> None:
        from django.core.management import call_command

        from rqcron_events import audit
        from rqcron_events.seals.verify import verify
        from rqcron_events.testing import FakeClock

        found: list[Any] = []
        seconds = _seconds(lambda: found.append(audit(since=START, until=self.now)))
        expected = sum(cron.totals.expected for cron in found[0].crons)
        print(f"audit of the year: {expected:,} slots in {seconds:.0f} s; ok: {found[0].ok}")
        seconds = _seconds(lambda: found.append(verify([self.key.verifier], start_over=True)))
        print(f"verify: {found[-1].checked_events:,} events in {seconds:.0f} s; ok: {found[-1].ok}")
        with FakeClock(self.now):
            seconds = _seconds(lambda: call_command("cron_replay", "--check"))
        print(f"replay --check over archive and log: {seconds:.0f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory {peak:.0f} MB at most")

    def _write(self, begin: datetime, end: datetime) -> None:
        copy_in = f"COPY rqcron_event ({COLUMNS}) FROM STDIN"
        with (
            psycopg.connect(self.options.url, autocommit=True) as connection,
            connection.cursor().copy(copy_in) as copy,
        ):
            for row in self._rows(begin, end):
                copy.write_row(row)
                self.events += 1

    def _rows(self, begin: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
        from rqcron_events.core.definition import Definition, run_id_for_slot

        every = timedelta(seconds=self.options.every)
        if begin == START:
            for name in self.names:
                promise = Definition(
                    name=name, function="bench:tick", every_seconds=self.options.every
                )
                data = {"definition": promise.to_data(), "definition_version": 1}
                data["effective_from"] = START.isoformat()
                yield self._own(name, "cron_registered", START, data)
        slot = begin + every
        while slot <= end:
            for name in self.names:
                run_id = str(run_id_for_slot(name, slot))
                run, common = f"run/{run_id}", {"run_id": run_id, "slot": slot, "cron": name}
                at = slot + timedelta(milliseconds=4)
                data = {"definition_version": 1, "lateness_seconds": 0.004}
                yield self._own(name, "slot_fired", at, data, run_id=run_id, slot=slot)
                data = {"queue": "default", "job_id": f"cron-{run_id}"}
                yield _row(run, 1, "run_enqueued", at, data, **common)
                data = {"job_created_at": at.isoformat(), "job_enqueued_at": at.isoformat()}
                yield _row(run, 2, "run_started", at, data, attempt=1, **common)
                done = {"duration_seconds": 1.0}
                at += timedelta(seconds=1)
                yield _row(run, 3, "run_succeeded", at, done, attempt=1, **common)
            slot += every

    def _own(self, name: str, kind: str, at: datetime, data: Any, **more: Any) -> tuple[Any, ...]:
        self.versions[name] += 1
        return _row(f"cron/{name}", self.versions[name], kind, at, data, cron=name, **more)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
