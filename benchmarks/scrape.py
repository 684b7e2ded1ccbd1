#!/usr/bin/env python
"""How long a scrape by Prometheus takes, by the number of crons.

``python benchmarks/scrape.py [--crons 10000]``; see README.md beside this file.
Exit code 1: none takes less than a second of processor time while a runner is alive.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from uuid import uuid4

from servers import run_python, servers

SECONDS_MAX = 1.0
CHILD_SECONDS_MAX = 600
SCHEDULES = ("* * * * *", "*/5 * * * *", "0 9 * * 1-5", "H * * * *", "30 4 1 * *")
ACTIVE_RUNS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crons", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(in_process(options.crons, options.rounds)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with servers() as found, found.fresh(BENCH_CRONS="1") as environment:
        command = ["scrape.py", "--in-process", "--crons", str(options.crons)]
        command += ["--rounds", str(options.rounds)]
        result = json.loads(run_python(command, environment, CHILD_SECONDS_MAX))
    print(f"{options.crons:,} crons, {options.rounds} scrapes of each kind, seconds (median)")
    for name, kind in result.items():
        print(
            f"{name:<42}{kind['wall']:7.2f} wall{kind['cpu']:7.2f} of this process"
            f" ({kind['least']:.2f} at least)"
            f"{kind['samples']:>10,} samples{kind['mb']:7.1f} MB"
        )
    raise SystemExit(result["a runner is alive"]["least"] > SECONDS_MAX)


# In the process that is measured


def in_process(crons: int, rounds: int) -> dict[str, dict[str, float]]:
    import django

    django.setup()
    from rqcron_events.leadership.lease import Lease

    fill(crons, datetime.now(UTC))
    lease = Lease("bench:1:1")
    lease.hold()
    found = {
        "a runner is alive": measure(rounds),
        "the same, with histograms of each cron": measure(rounds, buckets_by_cron=True),
    }
    lease.release()
    overdue(datetime.now(UTC))
    found["dead for three days"] = measure(rounds)
    return found


def measure(rounds: int, **options: bool) -> dict[str, float]:
    from rqcron_projections.signals.prometheus.scrape import scrape

    text = scrape(**options)
    assert "rqcron_scrape_part_ok" in text
    assert '"} 0\n' not in text[text.index("# TYPE rqcron_scrape_part_ok") :], "a part is missing"
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        scrape(**options)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    samples = sum(not line.startswith("#") for line in text.splitlines())
    return {
        "wall": median(walls),
        "cpu": median(cpus),
        "least": min(cpus),
        "samples": samples,
        "mb": len(text) / 1e6,
    }


def fill(crons: int, now: datetime) -> None:
    """Rows as the projections write them."""
    from rqcron_projections.cron_total import BOUNDS_SECONDS, MEASURES, CronTotal
    from rqcron_projections.models import CronJob, CronRun
    from rqcron_projections.projector import catch_up

    from rqcron_events.core.definition import Definition

    catch_up()
    rng = random.Random(20)
    names = [f"team_{number % 40}.cron_{number:05}" for number in range(crons)]
    jobs, totals = [], []
    for number, name in enumerate(names):
        definition = Definition(
            name=name,
            function=f"team_{number % 40}.crons:cron_{number:05}",
            expression=SCHEDULES[number % len(SCHEDULES)],
            queue=("default", "high", "low")[number % 3],
            max_age_seconds=90_000,
            max_failures=3,
        )
        jobs.append(
            CronJob(
                name=name,
                status="succeeding",
                schedule=definition.schedule_text,
                timezone="UTC",
                queue=definition.queue,
                function=definition.function,
                definition=definition.to_data(),
                definition_version=1,
                effective_from=now - timedelta(days=90),
                registered_at=now - timedelta(days=90),
                updated_at=now,
                last_slot=now - timedelta(seconds=20),
                next_slot=definition.schedule.next_after(now),
                last_success_at=now,
                last_failure_at=now - timedelta(days=3),
            )
        )
        counts = {
            f"{measure}_{part}": value
            for measure in MEASURES
            for part, value in (
                ("sum_us", rng.randrange(10**12)),
                (
                    "buckets",
                    ",".join(str(rng.randrange(10**5)) for _ in range(len(BOUNDS_SECONDS) + 1)),
                ),
            )
        }
        slots = {"fired": 129_600, "missed/superseded": 7, "skipped/overlap": 31}
        outcomes = {"succeeded": 129_000, "failed": 600}
        totals.append(CronTotal(cron=name, slots=slots, outcomes=outcomes, **counts))
    CronJob.objects.bulk_create(jobs, batch_size=1_000)
    CronTotal.objects.bulk_create(totals, batch_size=1_000)
    CronRun.objects.bulk_create(
        CronRun(run_id=uuid4(), cron=name, trigger="slot", status="running", requested_at=now)
        for name in names[:ACTIVE_RUNS]
    )


def overdue(now: datetime) -> None:
    """The runner has been dead for three days."""
    from rqcron_projections.models import CronJob

    then = now - timedelta(days=3)
    CronJob.objects.update(last_slot=then, next_slot=then + timedelta(seconds=40))


if __name__ == "__main__":
    main()
