#!/usr/bin/env python
"""How quick sealing and verifying are, the room that seals take, and what a proof costs.

``python benchmarks/seals.py [--events 200000] [--sqlite]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from audit import COLUMNS, _fill_sqlite, _rows
from servers import run_python, servers

PROOFS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--sqlite", action="store_true", help="SQLite, too")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(_measured()))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    slots = (options.events - 1) // 4
    with servers() as found, found.fresh() as environment:
        with psycopg.connect(found.url_of(), autocommit=True) as connection:
            with connection.cursor().copy(f"COPY rqcron_event ({COLUMNS}) FROM STDIN") as copy:
                for row in _rows(slots):
                    copy.write_row(row)
            connection.execute("VACUUM ANALYZE rqcron_event")
        _tell("postgresql", environment)
        if options.sqlite:
            with tempfile.TemporaryDirectory(prefix="rqcron-bench-") as directory:
                path = Path(directory) / "log.sqlite3"
                embedded = {**environment, "DATABASE_URL": f"sqlite://{path}"}
                run_python(["-m", "django", "migrate", "-v", "0"], embedded, 120)
                _fill_sqlite(path, slots)
                _tell("sqlite", embedded)


def _tell(database: str, environment: dict[str, str]) -> None:
    load = os.getloadavg()[0]
    found = json.loads(run_python(["seals.py", "--in-process"], environment, 3_600))
    events = found["events"]
    print(f"{database}: {events:,} events; load before {load:.1f}")
    for name in ("seal", "verify", "publish"):
        wall, processor = found[name]
        print(
            f"  {name:8}{wall:7.2f} s  {events / wall:9,.0f} events/s  "
            f"{processor / events * 1e6:6.1f} us/event of Python's processor time"
        )
    print(
        f"  one proof {found['proof_ms']:.1f} ms; tiles {found['tile_bytes'] / events:.1f} B/event"
    )
    print(f"  memory {found['peak_mb']:.0f} MB at most", flush=True)


def _measured() -> dict[str, object]:
    import django
    from django.conf import settings

    django.setup()
    from rqcron_events.core.seal.note import new_signer
    from rqcron_events.models import CronEvent, CronTile
    from rqcron_events.seals.proof import proof_of
    from rqcron_events.seals.receivers.send import send
    from rqcron_events.seals.sealer import seal_all
    from rqcron_events.seals.stored import StoredTiles, newest_seal
    from rqcron_events.seals.verify import verify

    key = new_signer("example.org/bench")
    settings.RQCRON_SEAL_KEY = key.secret_text()
    sealed = _timed(lambda: seal_all(key))
    newest = newest_seal()
    assert newest is not None
    verified = _timed(lambda: _require(verify([key.verifier], start_over=True).ok))
    with tempfile.TemporaryDirectory(prefix="rqcron-bench-") as directory:
        options = {"kind": "file", "path": directory}
        published = _timed(
            lambda: send(options, newest.note, newest.size, StoredTiles(), [key.verifier])
        )
    step = max(newest.size // PROOFS, 1)
    ids = list(CronEvent.objects.order_by("id").values_list("id", flat=True)[::step])
    wall, _ = _timed(lambda: [proof_of([id_], key.verifier) for id_ in ids])
    return {
        "events": newest.size,
        "seal": sealed,
        "verify": verified,
        "publish": published,
        "proof_ms": wall / len(ids) * 1e3,
        "tile_bytes": sum(len(tile.hashes) for tile in CronTile.objects.all()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and of this process."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def _require(ok: bool) -> None:
    assert ok, "an honest log is found right"


if __name__ == "__main__":
    main()
