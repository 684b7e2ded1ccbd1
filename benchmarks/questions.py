#!/usr/bin/env python
"""Whether questions stay quick when the log grows, and how fast a replay reads it.

``python benchmarks/questions.py [--events 1000000 10000000]``; see README.md beside this file.
Exit code 1: a query plan reads the whole log, or more than it should.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from statistics import median
from typing import Any

from logs import BUSY, DOWNTIME, END, START, build_log, cron_names, periods_seconds
from servers import COPY, Servers, run_python, servers

SECONDS_MAX = 7_200
ROUNDS = 5
EXPLAIN_MS_MAX = 50
PAGE_MS_MAX = 100
REPORT_MS_MAX = 2_000
PAST_MS_MAX = 1_000
PROBE_MS_MAX = 500
BLOCKS_MAX = 20_000
"""Of 8 KB, that all the queries of one question may touch: 160 MB, however long the log is."""
PAGE_EVENTS = 100
CHILDREN = ("replay", "ask", "eventsourcing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--quick", action="store_true", help="100,000 events")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in-process", nargs=2, metavar=("WHAT", "EVENTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        what, events = options.in_process
        print(json.dumps(globals()[f"in_process_{what}"](int(events))))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = []
    with servers() as found:
        for events in [100_000] if options.quick else options.events:
            results.append(measure(found, events))
            if not options.json:
                print_result(results[-1])
    if options.json:
        print(json.dumps(results, indent=2))
    wrong = [problem for result in results for problem in problems(result)]
    print("".join(f"{problem}\n" for problem in wrong), end="", file=sys.stderr)
    raise SystemExit(1 if wrong else 0)


def measure(found: Servers, events: int) -> dict[str, Any]:
    """Each part in a fresh interpreter, over one log."""
    with found.fresh(BENCH_CRONS="1") as environment:
        started = time.perf_counter()
        written = build_log(found.url_of(COPY), events)
        result: dict[str, Any] = {"events": written, "build_seconds": time.perf_counter() - started}
        for what in CHILDREN:
            command = ["questions.py", "--in-process", what, str(events)]
            result[what] = json.loads(run_python(command, environment, SECONDS_MAX))
    return result


def problems(result: dict[str, Any]) -> Iterator[str]:
    for name, answer in result["ask"].items():
        if answer["whole"]:
            yield f"{result['events']:,} events: {name} scans the whole log: {answer['whole'][0]}"
        if answer["blocks"] > BLOCKS_MAX:
            yield f"{result['events']:,} events: {name} reads {answer['blocks']:,} blocks"


def print_result(result: dict[str, Any]) -> None:
    rate = result["events"] / result["build_seconds"]
    print(f"\n{result['events']:,} events, written by COPY at {rate:,.0f}/s")
    replay, other = result["replay"], result["eventsourcing"]
    print(
        f"cron_replay {replay['events_per_second']:,.0f} events/s, to the end of the swap; "
        f"memory {replay['before_mb']:.0f} MB before, {replay['peak_mb']:.0f} MB at most"
    )
    if other:
        ratio = replay["events_per_second"] / other["events_per_second"]
        print(f"eventsourcing reads {other['events_per_second']:,.0f} events/s: ours {ratio:.2f}x")
    print(
        f"{'question':<44}{'ms':>8}{'bound':>8}{'queries':>9}{'blocks':>8}{'wall':>8}{'python':>8}"
    )
    for name, answer in result["ask"].items():
        late = "" if answer["ms"] <= answer["bound_ms"] else "  OVER"
        print(
            f"{name:<44}{answer['ms']:8.1f}{answer['bound_ms']:8}{answer['queries']:9}"
            f"{answer['blocks']:8}{answer['wall_ms']:8.0f}{answer['python_ms']:8.0f}"
            f"{late}{'  SCANS THE LOG' if answer['whole'] else ''}"
        )


# In the process that is measured


def in_process_replay(events: int) -> dict[str, float]:
    _setup()
    from rqcron_projections.replay.rebuild import rebuild

    before = _peak_mb()
    started = time.perf_counter()
    done = rebuild()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "events_per_second": done[0].events / seconds,
        "before_mb": before,
        "peak_mb": _peak_mb(),
    }


def in_process_eventsourcing(events: int) -> dict[str, float] | None:
    """The read rate of its PostgreSQL recorder, page by page, without making objects of them."""
    try:
        from eventsourcing.persistence import StoredEvent
        from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
    except ImportError:
        return None
    from uuid import uuid4

    _setup()
    from django.db import connection

    settings = connection.settings_dict
    store = PostgresDatastore(
        settings["NAME"],
        settings["HOST"],
        settings["PORT"] or "5432",
        settings["USER"],
        settings["PASSWORD"],
    )
    recorder = PostgresApplicationRecorder(store, events_table_name="eventsourcing_events")
    recorder.create_table()
    count, page = 100_000, 5_000
    for _ in range(count // page):
        topic, state = "shop:Order.Placed", b'{"lateness_seconds":0.25,"definition_version":1}'
        recorder.insert_events([StoredEvent(uuid4(), 1, topic, state) for _ in range(page)])
    started, position = time.perf_counter(), 0
    while read := recorder.select_notifications(start=position + 1, limit=page):
        position = read[-1].id
    seconds = time.perf_counter() - started
    store.close()
    return {"events": position, "seconds": seconds, "events_per_second": position / seconds}


def in_process_ask(events: int) -> dict[str, dict[str, Any]]:
    """Rounds are interleaved; the first warms the caches and is where plans are looked at."""
    _setup()
    asked = questions(events)
    answers: dict[str, dict[str, Any]] = {}
    for name, (bound_ms, ask) in asked.items():
        with _watched() as seen:
            ask()
        answers[name] = {"bound_ms": bound_ms, "queries": len(seen), **_plans(seen), "times": []}
    for _ in range(ROUNDS):
        for name, (_bound, ask) in asked.items():
            wall, processor = time.perf_counter(), time.process_time()
            with _watched() as seen:
                ask()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            answers[name]["times"].append((sum(item[2] for item in seen), wall, processor))
    for answer in answers.values():
        times = zip(*answer.pop("times"), strict=True)
        answer["ms"], answer["wall_ms"], answer["python_ms"] = (
            median(each) * 1000 for each in times
        )
    return answers


def questions(events: int) -> dict[str, tuple[int, Callable[[], Any]]]:
    """What people ask, with the milliseconds of database time that it may take."""
    return {
        **_explain_questions(events),
        **_page_questions(),
        **_report_questions(),
        **_past_questions(),
        **_probe_questions(),
    }


def _explain_questions(events: int) -> dict[str, tuple[int, Callable[[], Any]]]:
    from rqcron_events import explain
    from rqcron_events.models import CronEvent
    from rqcron_events.queries.explain import explain_run

    period = timedelta(seconds=periods_seconds(events)[1])
    rows = CronEvent.objects.for_cron(BUSY)
    early = rows.of_type("slot_fired").order_by("id")[10].scheduled_for
    late = rows.of_type("slot_fired").order_by("-id")[10].scheduled_for
    skipped = rows.of_type("slot_skipped").order_by("id")[1].scheduled_for
    prefix = str(rows.of_type("slot_fired").order_by("id")[20].run_id)[:13]
    for at, verdict in (
        (early, "fired"),
        (skipped, "skipped"),
        (_slot_in_downtime(period), "missed"),
        (early + timedelta(seconds=1), "not_a_slot"),
    ):
        found = explain(BUSY, at).verdict
        assert found == verdict, f"{at} is {found}, not {verdict}: the log is not what it should be"
    asked: dict[str, Callable[[], Any]] = {
        "explain fired, early": lambda: explain(BUSY, early),
        "explain fired, late": lambda: explain(BUSY, late),
        "explain skipped": lambda: explain(BUSY, skipped),
        "explain missed, in a range": lambda: explain(BUSY, _slot_in_downtime(period)),
        "explain not a slot": lambda: explain(BUSY, early + timedelta(seconds=1)),
        "explain pending or next": lambda: explain(BUSY, late + 40 * period),
        "explain future": lambda: explain(BUSY, END + timedelta(days=400)),
        "explain last slot": lambda: explain(BUSY),
        "explain rare cron": lambda: explain(cron_names()[500], late),
        "explain unknown cron": lambda: explain("cron_buzy", early),
        "explain --run PREFIX": lambda: explain_run(prefix),
    }
    return {name: (EXPLAIN_MS_MAX, ask) for name, ask in asked.items()}


def _slot_in_downtime(period: timedelta) -> datetime:
    inside, each = (DOWNTIME[0] + period * 2).timestamp(), period.total_seconds()
    return datetime.fromtimestamp(inside // each * each, UTC)


def _page_questions() -> dict[str, tuple[int, Callable[[], Any]]]:
    from rqcron_projections.models import CronRun

    from rqcron_events.cli.render import Filter
    from rqcron_events.core.events import EventType
    from rqcron_events.models import CronEvent

    run_id = CronEvent.objects.of_type("slot_fired").order_by("id")[500].run_id
    one, middle = cron_names()[11], START + timedelta(days=15)
    hour = {"since": middle, "until": middle + timedelta(hours=1)}
    day = {"since": START, "until": START + timedelta(days=1)}
    common, never = frozenset({"run_succeeded"}), frozenset({EventType.RUN_CANCELLED.value})
    rare, failed = frozenset({"run_stopped"}), frozenset({"run_failed", "attempt_failed"})
    filters = {
        "": {},
        "--cron": {"cron": one},
        "--cron, busy": {"cron": BUSY},
        "--run": {"run_id": run_id},
        "--type, common": {"types": common},
        "--type, rare and early": {"types": rare},
        "--type, never occurred": {"types": never},
        "--type, two of them": {"types": failed},
        "--since --until, an hour": hour,
        "--until, the first day": {"until": day["until"]},
        "--since --until, the first day": day,
        "--since, before everything": {"since": START - timedelta(days=1)},
        "--cron --type, common": {"cron": BUSY, "types": common},
        "--cron --type, rare": {"cron": one, "types": rare},
        "--cron --type, never": {"cron": BUSY, "types": never},
        "--cron --since --until, an hour": {"cron": BUSY, **hour},
        "--cron --until, the first day": {"cron": BUSY, "until": day["until"]},
        "--type --since --until, an hour": {"types": failed, **hour},
        "--type --until, the first day": {"types": common, "until": day["until"]},
        "--type, never, --until": {"types": never, "until": middle},
        "--cron --type --since --until": {"cron": BUSY, "types": common, **hour},
    }

    def page(**wanted: Any) -> list[Any]:
        return list(Filter(**wanted).newest(PAGE_EVENTS))

    def history(name: str, **which: Any) -> list[Any]:
        runs = CronRun.objects.filter(cron=name, **which)
        return list(runs.order_by("-requested_at", "run_id")[:PAGE_EVENTS])

    asked: dict[str, Callable[[], Any]] = {
        f"events {name}".strip(): lambda wanted=wanted: page(**wanted)
        for name, wanted in filters.items()
    }
    asked["history, busy"] = lambda: history(BUSY)
    asked["history"] = lambda: history(one)
    asked["history --status, rare"] = lambda: history(BUSY, status="stopped")
    return {name: (PAGE_MS_MAX, ask) for name, ask in asked.items()}


def _report_questions() -> dict[str, tuple[int, Callable[[], Any]]]:
    """Everything over 30 days of a thousand crons, when this checkout has reports."""
    try:
        from rqcron_projections.report.report import report
    except ImportError:
        return {}
    asked: dict[str, Callable[[], Any]] = {
        "report, 30 days": lambda: report(since=START, until=END),
        "report --by hour": lambda: report(since=START, until=END, by="hour"),
        "report --by queue": lambda: report(since=START, until=END, by="queue"),
        "report of instants": lambda: report(since=START + timedelta(seconds=1), until=END),
    }
    return {name: (REPORT_MS_MAX, ask) for name, ask in asked.items()}


def _past_questions() -> dict[str, tuple[int, Callable[[], Any]]]:
    """All crons as they were, when this checkout has that."""
    try:
        from rqcron_projections.past.crons import state_at
    except ImportError:
        from rqcron_projections.replay.rebuild import state_at
    asked: dict[str, Callable[[], Any]] = {
        "list --at, early": lambda: state_at(START + timedelta(days=3)),
        "list --at, middle": lambda: state_at(START + timedelta(days=17)),
        "list --at, late": lambda: state_at(END - timedelta(hours=1)),
        "list NAME --at, busy": lambda: state_at(START + timedelta(days=17), [BUSY]),
    }
    return {name: (PAST_MS_MAX, ask) for name, ask in asked.items()}


def _probe_questions() -> dict[str, tuple[int, Callable[[], Any]]]:
    """Without a snapshot. Health asks in a session of its own: its statements are not counted."""
    from django.core.management import call_command

    from rqcron_events.queries.health import health

    def listed(*arguments: str) -> None:
        call_command("cron_list", *arguments, stdout=StringIO(), stderr=StringIO())

    at = (START + timedelta(days=17)).isoformat()
    return {
        "health": (PROBE_MS_MAX, health),
        "cron_list": (PROBE_MS_MAX, listed),
        "cron_list --at": (PAST_MS_MAX, lambda: listed("--at", at)),
    }


# What the database did


@contextmanager
def _watched() -> Iterator[list[tuple[str, Any, float]]]:
    """Each SELECT with its parameters and its seconds."""
    from django.db import connection

    seen: list[tuple[str, Any, float]] = []

    def watch(execute, statement, parameters, many, context):
        started = time.perf_counter()
        try:
            return execute(statement, parameters, many, context)
        finally:
            if str(statement).lstrip().upper().startswith("SELECT"):
                seen.append((str(statement), parameters, time.perf_counter() - started))

    with connection.execute_wrapper(watch):
        yield seen


def _plans(seen: list[tuple[str, Any, float]]) -> dict[str, Any]:
    """How many blocks the queries touch, and those that walk through the log from end to end."""
    from django.db import connection

    blocks, whole = 0, []
    for statement, parameters, _seconds in seen:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
            found = cursor.fetchone()[0]
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        blocks += plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
        for node in _nodes(plan):
            if node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "rqcron_event":
                whole.append(statement)
    return {"blocks": blocks, "whole": whole}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _setup() -> None:
    import django

    django.setup()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
