#!/usr/bin/env python
"""How recovery grows with what is to be recovered: open runs, and a leader that is killed.

``python benchmarks/recovery.py [--runs 10000 50000 100000]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import psycopg
from servers import HERE, Servers, run_python, servers

CRONS = 1_000
CRONS_OF_RUNS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 50_000, 100_000])
    parser.add_argument("--in-process", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(_reconcile(options.in_process)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with servers() as found:
        print("open runs   look  us/run   close  us/run   memory MB (before, after)")
        for count in options.runs:
            _print_reconciled(found, count)
        print(_kill_the_leader(found))


def _print_reconciled(found: Servers, count: int) -> None:
    with found.fresh(BENCH_CRONS=str(CRONS_OF_RUNS)) as environment:
        answer = run_python(["recovery.py", "--in-process", str(count)], environment, 900)
    row = json.loads(answer)
    look, close = row["look_seconds"], row["close_seconds"]
    print(
        f"{count:9,} {look:6.1f} {look / count * 1e6:7.0f} {close:7.1f} {close / count * 1e6:7.0f}"
        f"   {row['before_mb']:.0f}, {row['after_mb']:.0f}"
    )


def _reconcile(count: int) -> dict[str, float]:
    """One pass in which every run is on its way, one in which every run has to be closed."""
    import django

    django.setup()
    import psutil
    from django_rq import get_queue

    from rqcron_events.execution.enqueuer import Enqueuer, job_id
    from rqcron_events.ledger.cron_states import States
    from rqcron_events.runner.reconciler import Reconciler

    run_ids = _open_runs(count)
    redis = get_queue("default").connection
    _set_status(redis, map(job_id, run_ids), "queued")
    memory = psutil.Process().memory_info
    before = memory().rss
    states = States.load()
    reconciler = Reconciler(Enqueuer(), "benchmark")
    look_seconds, findings = _pass(reconciler, states)
    assert findings == 0, findings
    _set_status(redis, map(job_id, run_ids), "failed")
    close_seconds, findings = _pass(reconciler, states)
    assert findings == count, findings
    assert not any(state.open_runs for state in states.crons.values())
    return {
        "look_seconds": look_seconds,
        "close_seconds": close_seconds,
        "before_mb": before / 1e6,
        "after_mb": memory().rss / 1e6,
    }


def _pass(reconciler, states) -> tuple[float, int]:
    started, findings = time.perf_counter(), 0
    reconciler.begin(states)
    while not reconciler.done:
        findings += len(reconciler.step(states))
    return time.perf_counter() - started, findings


def _open_runs(count: int) -> list:
    """Fired and enqueued an hour ago, one a second, on a hundred crons."""
    from datetime import timedelta

    from rqcron_events import clock
    from rqcron_events.core.definition import run_id_for_slot
    from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
    from rqcron_events.ledger import store
    from rqcron_events.ledger.cron_states import States
    from rqcron_events.registry import registry
    from rqcron_events.runner.registration import sync

    start = clock.now().replace(microsecond=0) - timedelta(hours=2)
    sync(registry, States.load(), "benchmark")
    run_ids = []
    for name in registry.crons:
        batch, enqueued = [], []
        for number in range(count // len(registry.crons)):
            slot = start + timedelta(seconds=number)
            run_id = run_id_for_slot(name, slot)
            run_ids.append(run_id)
            common = {"cron": name, "run_id": run_id, "scheduled_for": slot, "occurred_at": slot}
            batch.append(
                Event(
                    stream=cron_stream(name),
                    version=number + 2,
                    type=EventType.SLOT_FIRED,
                    **common,
                )
            )
            enqueued.append(
                [Event(stream=run_stream(run_id), version=1, type=EventType.RUN_ENQUEUED, **common)]
            )
        store.append_batches([batch, *enqueued])
    return run_ids


def _set_status(redis, names, status: str) -> None:
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.hset(f"rq:job:{name}", "status", status)
    pipeline.execute()


def _kill_the_leader(found: Servers) -> str:
    """1,000 crons due every minute; the leader is killed two seconds before, a standby is there."""
    with found.fresh(BENCH_CRONS=str(CRONS), BENCH_SCHEDULES="every_minute") as environment:
        command = [sys.executable, "-m", "django", "cron_run"]
        runners = [
            subprocess.Popen(command, cwd=HERE, env=environment, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        try:
            time.sleep(12 if time.time() % 60 < 40 else 32)  # both are up, and a minute comes soon
            time.sleep(max(58 - time.time() % 60, 0))
            with psycopg.connect(found.url_of(), autocommit=True) as connection:
                holder = connection.execute(
                    "SELECT holder FROM rqcron_lease WHERE name = 'leader'"
                ).fetchone()[0]
                leader = next(r for r in runners if f"-{r.pid}-" in holder)
                killed_at = time.time()
                os.kill(leader.pid, signal.SIGKILL)
                slot = int(killed_at // 60 + 1) * 60
                time.sleep(slot + 20 - time.time())
                count, late = connection.execute(
                    "SELECT count(*), max(extract(epoch FROM occurred_at - scheduled_for)) "
                    "FROM rqcron_event WHERE type = 'slot_fired' "
                    "AND scheduled_for = to_timestamp(%s)",
                    [slot],
                ).fetchone()
        finally:
            for runner in runners:
                runner.kill()
                runner.wait()
    return (
        f"leader killed {slot - killed_at:.1f} s before {CRONS:,} slots: {count:,} decided, "
        f"at most {float(late or 0):.1f} s late"
    )


if __name__ == "__main__":
    main()
