#!/usr/bin/env python
"""How quick an archive of most of the log is, what it leaves, and how long others wait beside it: a writer, a
runner and a worker.

``python benchmarks/archive.py [--events 300000] [--keep 30000]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import audit
import psycopg
from audit import COLUMNS, _rows
from running import lateness_of, running
from servers import HERE, run_python, servers

CRONS = 8
"""Of the runner beside it, each due every second."""
audit.START = datetime(2015, 1, 1, tzinfo=UTC)  # ten million events are nearly five years
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
WRITER_PAUSE_SECONDS = 0.005
CALM_SECONDS = 20.0
SIZES = (
    "SELECT pg_table_size('rqcron_event'), pg_indexes_size('rqcron_event'), "
    "pg_total_relation_size('rqcron_tile'), (SELECT count(*) FROM rqcron_event)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--keep", type=int, help="The newest that stay; default: a tenth.")
    parser.add_argument("--archive", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--writer", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        print(json.dumps(_write_until(Path(options.writer))))
        return
    if options.archive:
        print(json.dumps(_measured(options.archive)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    keep = options.events // 10 if options.keep is None else options.keep
    with servers() as found, found.fresh() as environment:
        url = found.url_of()
        with psycopg.connect(url, autocommit=True) as connection:
            with connection.cursor().copy(f"COPY rqcron_event ({COLUMNS}) FROM STDIN") as copy:
                for row in _rows((options.events - 1) // 4):
                    copy.write_row(row)
            connection.execute("VACUUM ANALYZE rqcron_event")
        load = os.getloadavg()[0]
        line = ["archive.py", "--archive", str(options.events - keep)]
        beside = {
            **environment,
            "DJANGO_SETTINGS_MODULE": "settings_signals",
            "BENCH_SIGNALS": "none",
            "BENCH_CRONS": str(CRONS),
            "BENCH_SCHEDULES": "every_second",
        }
        with running(found, beside, CRONS), _worker(beside):
            measured = json.loads(run_python(line, environment, 14_400))
        _tell(measured, load)
        _tell_runs(url, measured)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM rqcron_event")
            _tell_sizes("after VACUUM", connection.execute(SIZES).fetchone())
            connection.execute("VACUUM FULL rqcron_event")
            _tell_sizes("after VACUUM FULL", connection.execute(SIZES).fetchone())


@contextmanager
def _worker(environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "django", "cron_worker", "default"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=HERE, env=environment, **quiet) as process:
        try:
            yield
        finally:
            process.terminate()


def _tell_runs(url: str, found: dict[str, Any]) -> None:
    for name in ("before", "beside"):
        since, until = map(datetime.fromtimestamp, found[f"{name}_between"], (UTC, UTC))
        with psycopg.connect(url) as connection:
            runs = lateness_of(connection, since, until)
        print(
            f"  a runner {name}: {runs['slots']:,} slots enqueued, late median {runs['p50_ms']:.0f} ms, "
            f"99 % {runs['p99_ms']:.0f} ms, longest {runs['max_ms']:.0f} ms; "
            f"{runs['passed_over']} passed over; {runs['succeeded']:,} runs succeeded"
        )


def _tell(found: dict[str, Any], load: float) -> None:
    done, writer, calm = found["done"], found["writer"], found["calm"]
    print(f"{done['events']:,} events archived; load before {load:.1f}")
    for name in ("sealed", "verified"):
        seconds = found[f"{name}_seconds"]
        print(f"  {found['log']:,} {name} {seconds:.1f} s, {found['log'] / seconds:,.0f} events/s")
    written, removing = found["written_seconds"], found["removing_seconds"]
    print(
        f"  written and verified {written:.1f} s, {done['events'] / written:,.0f} events/s, "
        f"{len(done['segments'])} segments, {done['bytes'] / done['events']:.1f} B/event"
    )
    print(
        f"  {done['removed_rows']:,} rows removed {removing:.1f} s, "
        f"{done['removed_rows'] / removing:,.0f} rows/s; {done['kept_rows']:,} stay"
    )
    for name, each in (("before", calm), ("beside", writer)):
        print(
            f"  a writer {name}: {each['appends']:,} appends, median {each['median_ms']:.1f} ms, "
            f"99 % {each['p99_ms']:.1f} ms, longest {each['longest_ms']:.0f} ms"
        )
    print(f"  memory {found['peak_mb']:.0f} MB at most")
    _tell_sizes("before", found["sizes_before"])
    _tell_sizes("after", found["sizes_after"])


def _tell_sizes(when: str, sizes: Any) -> None:
    table, indexes, tiles, rows = sizes
    print(
        f"  {when}: {rows:,} rows, table {table / 1e6:.1f} MB, indexes {indexes / 1e6:.1f} MB, "
        f"tiles {tiles / 1e6:.1f} MB",
        flush=True,
    )


def _measured(events: int) -> dict[str, Any]:
    import django
    from django.conf import settings

    directory = tempfile.TemporaryDirectory(prefix="rqcron-bench-")
    django.setup()
    from rqcron_events.core.seal.note import new_signer
    from rqcron_events.followers import Follower, followers

    key = new_signer("example.org/bench")
    settings.RQCRON_SEAL_KEY = key.secret_text()
    simple = "django.core.files.storage.FileSystemStorage"
    place = {"BACKEND": simple, "OPTIONS": {"location": directory.name}}
    settings.STORAGES = {**settings.STORAGES, "bench": place}
    settings.RQCRON_ARCHIVE = {"storage": "bench"}
    from django.db import connection

    from rqcron_events.archive import archiving
    from rqcron_events.models import CronSeal
    from rqcron_events.seals.sealer import seal_all
    from rqcron_events.seals.stored import newest_seal
    from rqcron_events.seals.verify import verify

    began_at = time.perf_counter()
    seal_all(key)
    sealed_at = time.perf_counter()
    assert verify([key.verifier], start_over=True).ok
    verified_at = time.perf_counter()
    newest = newest_seal()
    assert newest is not None
    limit = CronSeal.objects.filter(size__lte=events).order_by("size").last()
    assert limit is not None
    followers.clear()
    followers["bench"] = Follower(catch_up=lambda: 0, position=lambda: limit.last_id)

    def sizes() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(SIZES)
            return cursor.fetchone()

    before, removing = sizes(), 0.0
    remove = archiving.remove_rows

    def timed(until: int) -> tuple[int, int]:
        nonlocal removing
        began_at = time.perf_counter()
        found = remove(until)
        removing = time.perf_counter() - began_at
        return found

    archiving.remove_rows = timed
    calm = _beside(Path(directory.name) / "calm", lambda: time.sleep(CALM_SECONDS))
    done: list[Any] = []
    writer = _beside(
        Path(directory.name) / "stop", lambda: done.append(archiving.archive(FUTURE, "bench"))
    )
    found = {
        "done": done[0].to_data(),
        "log": newest.size,
        "sealed_seconds": sealed_at - began_at,
        "verified_seconds": verified_at - sealed_at,
        "before_between": calm["between"],
        "beside_between": writer["between"],
        "written_seconds": writer["seconds"] - removing,
        "removing_seconds": removing,
        "writer": writer,
        "calm": calm,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sizes_before": before,
        "sizes_after": sizes(),
    }
    directory.cleanup()
    return found


def _beside(stop: Path, work: Any) -> dict[str, Any]:
    """What a writer, in a process of its own, met while the work was done."""
    ready = stop.with_suffix(".ready")
    process = subprocess.Popen(
        [sys.executable, __file__, "--writer", str(stop)], stdout=subprocess.PIPE, text=True
    )
    try:
        while not ready.exists():
            assert process.poll() is None, "the writer ended"
            time.sleep(0.05)
        began_at = time.time()
        work()
        ended_at = time.time()
        stop.touch()
        answer, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    return {
        **json.loads(answer),
        "seconds": ended_at - began_at,
        "between": (began_at, ended_at),
    }


def _write_until(stop: Path) -> dict[str, Any]:
    import django

    django.setup()
    from rqcron_events.core.events import Event, EventType
    from rqcron_events.ledger import store

    waits: list[float] = []
    name = stop.name
    while not stop.exists():
        event = Event(
            stream=f"runner/{name}",
            version=len(waits) + 1,
            type=EventType.CLOCK_AGREES,
            occurred_at=datetime.now(tz=UTC),
            actor=f"runner/{name}",
        )
        began_at = time.perf_counter()
        store.append([event])
        waits.append((time.perf_counter() - began_at) * 1e3)
        if len(waits) == 1:
            waits[0] = 0.0  # it connects
            stop.with_suffix(".ready").touch()
        time.sleep(WRITER_PAUSE_SECONDS)
    return {
        "appends": len(waits),
        "median_ms": statistics.median(waits),
        "p99_ms": sorted(waits)[int(len(waits) * 0.99)],
        "longest_ms": max(waits),
    }


if __name__ == "__main__":
    main()
