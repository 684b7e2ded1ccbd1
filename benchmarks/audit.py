#!/usr/bin/env python
"""How long an audit takes, and its memory: a year of a cron that is due every minute.

``python benchmarks/audit.py [--slots 525600] [--rounds 2]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from servers import run_python, servers

CRON = "every_minute"
START = datetime(2025, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COLUMNS = (
    "stream, version, type, schema_version, cron, run_id, attempt, scheduled_for, reason, actor, "
    "occurred_at, recorded_at, data"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slots", type=int, default=525_600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(_audit(options.slots)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{options.slots:,} slots, {options.slots * 4 + 1:,} events")
    with servers() as found, found.fresh() as environment:
        with psycopg.connect(found.url_of(), autocommit=True) as connection:
            with connection.cursor().copy(f"COPY rqcron_event ({COLUMNS}) FROM STDIN") as copy:
                for row in _rows(options.slots):
                    copy.write_row(row)
            connection.execute("VACUUM ANALYZE rqcron_event")
        _measure("postgresql", environment, options)
        with tempfile.TemporaryDirectory(prefix="rqcron-bench-") as directory:
            path = Path(directory) / "log.sqlite3"
            embedded = {**environment, "DATABASE_URL": f"sqlite://{path}"}
            run_python(["-m", "django", "migrate", "-v", "0"], embedded, 120)
            _fill_sqlite(path, options.slots)
            _measure("sqlite", embedded, options)


def _measure(database: str, environment: dict[str, str], options: argparse.Namespace) -> None:
    for _ in range(options.rounds):
        load = os.getloadavg()[0]
        words = ["audit.py", "--in-process", "--slots", str(options.slots)]
        row = json.loads(run_python(words, environment, 600))
        print(
            f"{database:10}  {row['seconds']:5.1f} s  {row['seconds'] / options.slots * 1e6:5.1f} "
            f"us/slot  memory MB {row['before_mb']:.0f} before, {row['peak_mb']:.0f} at most"
            f"  load before {load:.1f}",
            flush=True,
        )


def _audit(slots: int) -> dict[str, float]:
    import django

    django.setup()
    from rqcron_events import audit

    before = _peak_mb()
    started = time.perf_counter()
    found = audit()
    seconds = time.perf_counter() - started
    [cron] = found.crons
    assert (cron.totals.expected, cron.totals.fired, found.ok) == (slots, slots, True), cron
    return {"seconds": seconds, "before_mb": before, "peak_mb": _peak_mb()}


def _fill_sqlite(path: Path, slots: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        # Only while it is filled: indexes that fit into memory, and no journal.
        for pragma in ("cache_size = -1000000", "journal_mode = off", "synchronous = off"):
            connection.execute(f"PRAGMA {pragma}")
        marks = ", ".join("?" * 13)
        rows = map(_as_django_stores, _rows(slots))
        statement = f"INSERT INTO rqcron_event ({COLUMNS}) VALUES ({marks})"
        connection.executemany(statement, rows)
        connection.execute("ANALYZE")
        connection.commit()


def _as_django_stores(row: tuple[Any, ...]) -> tuple[Any, ...]:
    *values, run_id, attempt, slot, reason, actor, at, _, data = row
    times = [value and value.replace("T", " ").removesuffix("+00:00") for value in (slot, at)]
    run = run_id and run_id.replace("-", "")
    return (*values, run, attempt, times[0], reason, actor, times[1], times[1], data)


def _rows(slots: int) -> Iterator[tuple[Any, ...]]:
    """Registered; then fired, enqueued, started and succeeded for each slot."""
    from rqcron_events.core.definition import Definition, run_id_for_slot

    promise = Definition(name=CRON, function="bench:tick", expression="* * * * *")
    stream = f"cron/{CRON}"
    data = {"definition": promise.to_data(), "definition_version": 1}
    yield _row(stream, 1, "cron_registered", START, {**data, "effective_from": START.isoformat()})
    for number in range(slots):
        slot = START + MINUTE * (number + 1)
        run_id = str(run_id_for_slot(CRON, slot))
        run, common = f"run/{run_id}", {"run_id": run_id, "slot": slot}
        at = slot + timedelta(milliseconds=4)
        data = {"definition_version": 1, "lateness_seconds": 0.004}
        yield _row(stream, number + 2, "slot_fired", at, data, **common)
        data = {"queue": "default", "job_id": f"cron-{run_id}"}
        yield _row(run, 1, "run_enqueued", at, data, **common)
        data = {"job_created_at": at.isoformat(), "job_enqueued_at": at.isoformat()}
        at += timedelta(seconds=1)
        yield _row(run, 2, "run_started", at, data, attempt=1, **common)
        at += timedelta(seconds=1)
        yield _row(run, 3, "run_succeeded", at, {"duration_seconds": 1.0}, attempt=1, **common)


def _row(
    stream: str,
    version: int,
    kind: str,
    at: datetime,
    data: dict[str, Any],
    *,
    run_id: str | None = None,
    slot: datetime | None = None,
    attempt: int | None = None,
    cron: str = CRON,
) -> tuple[Any, ...]:
    due, told = slot and slot.isoformat(), at.isoformat()
    content = json.dumps(data, separators=(",", ":"))
    actor = "runner/web-1"
    return stream, version, kind, 1, cron, run_id, attempt, due, "", actor, told, told, content


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
