#!/usr/bin/env python
"""How fast due crons become jobs, how late, and at what cost. See README.md beside this file.

Every round measures each system once, A B C A B C, so that whatever else the machine does meets
all of them alike. Ratios are taken within a round; medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from contextlib import ExitStack
from importlib.metadata import version
from statistics import median
from typing import Any

from running import idle, lateness, sustained
from servers import Servers, run_python, servers, tree_of

MEASURES = ("dispatch", "lateness", "idle", "worker", "folding", "sustained")
SECONDS_MAX = 600
BEFORE = "before_"
LOOP_SHARE = 10
"""The loop is slow, and its rate does not depend on the number: it gets one tenth of the jobs."""

LABELS = {
    "ledger": "rqcron-events, two durable events per job",
    "enqueue_many": "RQ's enqueue_many, the same jobs, no record",
    "rq_cron": "rq cron",
    "enqueue_loop": "django-rq, a loop of enqueue",
}
WORKERS = {"rqworker": "", "cron_worker": "_in_cron_worker"}
WORKER_FIGURES = {
    "ms_per_job": "wall",
    "cpu_ms_per_job": "worker and work-horse",
    "postgresql_ms_per_job": "PostgreSQL",
}

FOLDING_RATES = (100, 1_000)
FOLDING_FIGURES = (
    "us_per_event",
    "cpu_us_per_event",
    "postgresql_us_per_event",
    "wal_bytes_per_run",
)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers stop
    with servers() as found:
        results: dict[str, Any] = {"machine": _machine(found)}
        _say(", ".join(f"{key} {value}" for key, value in results["machine"].items()))
        for name in options.only:
            results[name] = globals()[f"measure_{name}"](found, options)
    if options.json:
        json.dump(results, sys.stdout, indent=2)
        print()
        return
    print(", ".join(f"{key} {value}" for key, value in results["machine"].items()))
    for name in options.only:
        globals()[f"print_{name}"](results[name])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small numbers, under two minutes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--rounds", type=int, help="default: 5, or 2 when quick")
    parser.add_argument(
        "--before", metavar="COMMIT", help="measure that code beside this, in worker and folding"
    )
    parser.add_argument("--crons", type=int, help="due at one instant; default 10000, or 2000")
    parser.add_argument("--jobs", type=int, help="for each worker; default 300, or 50 when quick")
    parser.add_argument("--rates", type=int, nargs="+", help="slots/s of sustained")
    parser.add_argument(
        "--period", type=int, default=1, help="seconds between two slots of a cron of sustained"
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="crons of idle")
    options = parser.parse_args()
    quick = options.quick
    options.rounds = options.rounds or (2 if quick else 5)
    options.crons = options.crons or (2_000 if quick else 10_000)
    options.jobs = options.jobs or (50 if quick else 300)
    options.rates = options.rates or ([100, 500] if quick else [100, 1_000, 1_700])
    options.sizes = options.sizes or ([1_000] if quick else [1_000, 10_000])
    options.seconds = 20 if quick else 60
    return options


def _machine(found: Servers) -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        **{name: version(name) for name in ("rq", "django", "redis")},
        **found.versions(),
    }


# 10,000 crons at one instant


def measure_dispatch(found: Servers, options: argparse.Namespace) -> list[dict[str, Any]]:
    counts = dict.fromkeys(("ledger", "rq_cron", "enqueue_many"), options.crons)
    counts["enqueue_loop"] = options.crons // LOOP_SHARE
    return _rounds({"": found}, options.rounds, counts, "jobs_per_second")


def print_dispatch(rounds: list[dict[str, Any]]) -> None:
    jobs = rounds[0]["ledger"]["jobs"]
    print(f"\n{jobs:,} crons due at one instant, {len(rounds)} rounds")
    _print_table(rounds, "jobs_per_second", "jobs/s", "ledger")


# What the ledger adds to a job


def measure_worker(found: Servers, options: argparse.Namespace) -> list[dict[str, Any]]:
    names = [f"{kind}_jobs{place}" for place in WORKERS.values() for kind in ("plain", "cron")]
    counts = dict.fromkeys(names, options.jobs)
    if options.before is None:
        return _rounds({"": found}, options.rounds, counts, "ms_per_job")
    with tree_of(options.before) as tree:
        trees = {"": found, BEFORE: found.of(tree)}
        return _rounds(trees, options.rounds, counts, "ms_per_job")


def print_worker(rounds: list[dict[str, Any]]) -> None:
    jobs = rounds[0]["cron_jobs"]["jobs"]
    print(f"\nRQ's worker, {jobs} jobs that do nothing, {len(rounds)} rounds; ms per job")
    print(f"  {'':<44}{'plain':>9}{'cron':>9}{'extra':>9}{'min - max':>18}")
    for worker, place in WORKERS.items():
        for figure, label in WORKER_FIGURES.items():
            for tree in ("", BEFORE):
                pairs = [
                    (
                        item[f"{tree}plain_jobs{place}"][figure],
                        item[f"{tree}cron_jobs{place}"][figure],
                    )
                    for item in rounds
                    if f"{tree}plain_jobs{place}" in item
                ]
                if pairs:
                    _print_extra(f"{worker}, {label}{', commit before' if tree else ''}", pairs)


def _print_extra(label: str, pairs: list[tuple[float, float]]) -> None:
    extra = [cron - plain for plain, cron in pairs]
    plain, cron = (median(values) for values in zip(*pairs, strict=True))
    spread = f"{min(extra):,.1f} - {max(extra):,.1f}"
    print(f"  {label:<44}{plain:>9.1f}{cron:>9.1f}{median(extra):>9.1f}{spread:>18}")


# What the projections cost


def measure_folding(found: Servers, options: argparse.Namespace) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        trees = {"": found}
        if options.before is not None:
            trees[BEFORE] = found.of(stack.enter_context(tree_of(options.before)))
        rounds: list[dict[str, Any]] = []
        for index in range(options.rounds):
            measured: dict[str, Any] = {}
            for rate in FOLDING_RATES:
                for prefix, tree in trees.items():
                    with tree.fresh() as environment:
                        printed = run_python(["folding.py", str(rate)], environment, SECONDS_MAX)
                    result = measured[f"{prefix}{rate}"] = json.loads(printed.splitlines()[-1])
                    _say(
                        f"round {index + 1}: {prefix}{rate} slots/s {result['us_per_event']:.0f} us"
                    )
            rounds.append(measured)
    return rounds


def print_folding(rounds: list[dict[str, Any]]) -> None:
    print(
        f"\nKeeping the projections current, {len(rounds)} rounds; medians per event, and per run"
    )
    print(f"  {'':<28}{'wall us':>9}{'Python us':>11}{'PostgreSQL us':>15}{'WAL bytes':>11}")
    for name in rounds[0]:
        rate = name.removeprefix(BEFORE)
        label = f"{int(rate):,} slots/s{', commit before' if name != rate else ''}"
        figures = [median(measured[name][key] for measured in rounds) for key in FOLDING_FIGURES]
        print(
            f"  {label:<28}{figures[0]:>9.0f}{figures[1]:>11.0f}{figures[2]:>15.0f}{figures[3]:>11,.0f}"
        )


# A runner by the real clock


def measure_lateness(found: Servers, options: argparse.Namespace) -> dict[str, Any]:
    return lateness(found, 1_000, options.seconds)


def print_lateness(result: dict[str, Any]) -> None:
    print(
        f"\nFrom slot to job, {result['crons']:,} crons due in the same second, again and again, "
        f"{result['slots']:,} slots"
    )
    print(
        "  " + ", ".join(f"{name} {result[f'{name}_ms']:.0f} ms" for name in ("p50", "p99", "max"))
    )


def measure_sustained(found: Servers, options: argparse.Namespace) -> list[dict[str, Any]]:
    results = []
    for rate in options.rates:
        results.append(sustained(found, rate, options.seconds, options.period))
        _say(f"{rate} slots/s: {results[-1]['enqueued_per_second']:.0f} enqueued a second")
    return results


def print_sustained(results: list[dict[str, Any]]) -> None:
    print(f"\nSo many slots in each second, one leader, {results[0]['seconds']:.0f} s each")
    print(
        f"  {'slots/s':>9}{'crons':>9}{'enqueued/s':>12}{'passed over':>13}{'p50 ms':>9}{'p99 ms':>9}{'behind s':>10}"
    )
    for item in results:
        print(
            f"  {item['slots_per_second']:>9,}{item['crons']:>9,}{item['enqueued_per_second']:>12,.0f}"
            f"{item['passed_over']:>13,}{item['p50_ms'] or 0:>9.0f}{item['p99_ms'] or 0:>9.0f}"
            f"{item['projections_behind_seconds']:>10.1f}"
        )


def measure_idle(found: Servers, options: argparse.Namespace) -> list[dict[str, Any]]:
    results = []
    for crons in options.sizes:
        results.append(idle(found, crons, options.seconds))
        _say(f"{crons:,} crons: started in {results[-1]['start_seconds']:.1f} s")
    return results


def print_idle(results: list[dict[str, Any]]) -> None:
    print(f"\nA runner of which no cron is due, {results[0]['seconds']:.0f} s each")
    print(
        f"  {'crons':>9}{'first start s':>15}{'start s':>9}{'% of a core':>13}{'MB resident':>13}"
        f"{'MB own':>8}{'processes':>11}"
    )
    for item in results:
        print(
            f"  {item['crons']:>9,}{item['first_start_seconds']:>15.1f}{item['start_seconds']:>9.1f}"
            f"{item['cpu_percent']:>13.2f}{item['rss_mb']:>13.0f}{item['uss_mb']:>8.0f}"
            f"{item['processes']:>11}"
        )


# Rounds


def _rounds(
    trees: dict[str, Servers], number: int, counts: dict[str, int], figure: str
) -> list[dict[str, Any]]:
    """``trees``: by a prefix for the names in the results."""
    rounds: list[dict[str, Any]] = []
    for index in range(number):
        measured: dict[str, Any] = {}
        for system, count in counts.items():
            for prefix, found in trees.items():
                name = prefix + system
                with found.fresh(BENCH_CRONS=str(count)) as environment:
                    arguments = ["systems.py", system, str(count)]
                    printed = run_python(arguments, environment, SECONDS_MAX)
                measured[name] = json.loads(printed.splitlines()[-1])
                _say(f"round {index + 1}: {name} {measured[name][figure]:,.1f} {figure}")
        rounds.append(measured)
    return rounds


def _print_table(rounds: list[dict[str, Any]], figure: str, unit: str, ours: str) -> None:
    print(f"  {'':<44}{unit:>9}{'min - max':>18}{'ours / this':>13}")
    for system in rounds[0]:
        values = [measured[system][figure] for measured in rounds]
        ratio = median(measured[ours][figure] / measured[system][figure] for measured in rounds)
        spread = f"{min(values):,.1f} - {max(values):,.1f}"
        print(f"  {LABELS[system]:<44}{median(values):>9,.1f}{spread:>18}{ratio:>12.2f}x")


def _say(text: str) -> None:
    """Progress, for a person who waits; the results go to stdout."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
