"""``make chaos MINUTES=15 SEED=...``: drills of random faults, until the time is over."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, help="Of the first drill; printed. Default: random.")
    parser.add_argument("--drill-seconds", type=float, default=120, help="Faults in one drill.")
    parser.add_argument("--hasten", action="store_true", help="Do not wait for RQ's heartbeats.")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from .drill import drill

    end = time.monotonic() + options.minutes * 60
    bad = 0
    while time.monotonic() < end:
        print(f"seed {seed} ...", flush=True)
        seconds = min(options.drill_seconds, max(end - time.monotonic(), 1))
        report = drill(seed, seconds, hasten=options.hasten)
        print(report, flush=True)
        if report.violations:
            bad += 1
            print(f"Again: make chaos MINUTES={seconds / 60:.1f} SEED={seed}", flush=True)
        seed += 1
    print("No violation." if not bad else f"{bad} drills with violations.")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
