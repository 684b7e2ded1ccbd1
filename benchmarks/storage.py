#!/usr/bin/env python
"""What an ordinary run leaves on the disk: bytes by table and index, WAL, and SQL statements.

``python benchmarks/storage.py [--before COMMIT]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from servers import Servers, run_python, servers, tree_of
from systems import MIDNIGHT

SECONDS_MAX = 1_200
CRONS = 100
FORKED_ROUNDS = 2
TABLES = ("rqcron_event", "rqcron_run")
SIZES = """
    SELECT relid::regclass::text, relid::regclass::text, pg_relation_size(relid)
    FROM pg_stat_user_tables WHERE relid::regclass::text = ANY(%(tables)s)
    UNION ALL
    SELECT relid::regclass::text, indexrelid::regclass::text, pg_relation_size(indexrelid)
    FROM pg_stat_user_indexes WHERE relid::regclass::text = ANY(%(tables)s)
    ORDER BY 1, 3 DESC
"""
# BEGIN and COMMIT are round trips: they count.
STATEMENTS = "SELECT query, calls FROM pg_stat_statements WHERE dbid = %s ORDER BY calls DESC"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--before", metavar="COMMIT", help="measure that code beside this")
    parser.add_argument("--statements", action="store_true", help="print the statements, too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--in-process", nargs=2, metavar=("WORKER", "ROUNDS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.in_process:
        kind, rounds = options.in_process
        in_process(kind, int(rounds))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        found = stack.enter_context(servers(for_sizes=True))
        trees = {"this": found}
        if options.before:
            trees["before"] = found.of(stack.enter_context(tree_of(options.before)))
        for name, tree in trees.items():
            results[name] = measure(tree, options.runs)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, result in results.items():
        print_result(name, result, options.statements)


def measure(found: Servers, runs: int) -> dict[str, Any]:
    """Sizes and WAL with workers that do not fork, which is quick; statements with ``cron_worker``."""
    rounds = runs // CRONS
    result: dict[str, Any] = {"runs": rounds * CRONS}
    for key, full_page_writes in (("wal", "off"), ("wal_full_pages", "on")):
        with _fresh(found) as (environment, connection):
            connection.execute(f"ALTER SYSTEM SET full_page_writes = {full_page_writes}")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CHECKPOINT")
            wal, log_wal = _work(environment, "simple", rounds)
            result[key] = wal / result["runs"]
            result[f"{key}_log"] = log_wal / result["runs"]
            for table in TABLES:
                connection.execute(f"VACUUM {table}")
            sizes = connection.execute(SIZES, {"tables": list(TABLES)}).fetchall()
            result["bytes"] = [(table, name, size / result["runs"]) for table, name, size in sizes]
    with _fresh(found) as (environment, connection):
        connection.execute("CREATE EXTENSION pg_stat_statements")
        database = connection.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()[0]
        connection.execute("SELECT pg_stat_statements_reset()")
        _work(environment, "forking", FORKED_ROUNDS)
        calls = connection.execute(STATEMENTS, [database]).fetchall()
    runs = FORKED_ROUNDS * CRONS
    result["statements"] = sum(count for _, count in calls) / runs
    result["statements_by_text"] = [(text, count / runs) for text, count in calls]
    return result


@contextmanager
def _fresh(found: Servers) -> Iterator[tuple[dict[str, str], psycopg.Connection]]:
    with (
        found.fresh(BENCH_CRONS=str(CRONS), BENCH_SCHEDULES="every_minute") as environment,
        psycopg.connect(found.url_of(), autocommit=True) as connection,
    ):
        yield environment, connection


def _work(environment: dict[str, str], kind: str, rounds: int) -> tuple[int, int]:
    command = ["storage.py", "--in-process", kind, str(rounds)]
    told = json.loads(run_python(command, environment, SECONDS_MAX))
    return told["wal_bytes"], told["log_wal_bytes"]


def print_result(name: str, result: dict[str, Any], with_statements: bool) -> None:
    print(f"\n{name}: {result['runs']:,} runs, bytes per run")
    for table in TABLES:
        rows = [(index, size) for of, index, size in result["bytes"] if of == table]
        print(f"  {table:<44}{sum(size for _, size in rows):9,.0f}")
        for index, size in rows:
            print(f"    {'(the rows)' if index == table else index:<42}{size:9,.0f}")
    print(f"  {'both':<44}{sum(size for *_, size in result['bytes']):9,.0f}")
    for label, key in (("WAL, without full pages", "wal"), ("WAL", "wal_full_pages")):
        print(f"  {label:<44}{result[key]:9,.0f}  (runner and worker {result[key + '_log']:,.0f})")
    print(f"  {'SQL statements, with cron_worker':<44}{result['statements']:9.1f}")
    if with_statements:
        for text, count in result["statements_by_text"]:
            print(f"    {count:8.2f}  {' '.join(text.split())[:130]}")


# In the process that is measured


def in_process(kind: str, rounds: int) -> None:
    """Minute after minute: a tick, the workers, and the projections, which follow once a second."""
    import django

    django.setup()
    from rqcron_projections.projector import catch_up

    from rqcron_events import clock
    from rqcron_events.ledger.cron_states import States
    from rqcron_events.models import CronEvent
    from rqcron_events.registry import registry
    from rqcron_events.runner.registration import sync
    from rqcron_events.runner.runner import Runner

    minute, told = MIDNIGHT, 0

    def now() -> Any:
        nonlocal told
        told += 1
        return minute + timedelta(milliseconds=told)

    clock.now = now
    minute -= timedelta(seconds=10)
    runner = Runner()
    sync(registry, States.load(), runner.actor)
    runner.tick()
    catch_up()
    wal = {"all": 0, "log": 0}
    begin = _wal_position()
    for _ in range(rounds):
        minute, told = minute.replace(second=0) + timedelta(minutes=1), 0
        before = _wal_position()
        while not runner.tick():  # a tick decides for half a second, and there may be more
            pass
        wal["log"] += _wal_position() - before
        catch_up()
        before = _wal_position()
        _work_off(kind)
        wal["log"] += _wal_position() - before
        catch_up()
    wal["all"] = _wal_position() - begin
    events = CronEvent.objects.filter(type="run_succeeded").count()
    assert events == rounds * CRONS, f"{events} runs succeeded"
    print(json.dumps({"wal_bytes": wal["all"], "log_wal_bytes": wal["log"]}))


def _work_off(kind: str) -> None:
    if kind == "forking":
        from rqcron_events.execution.cron_worker import embedded_runner

        options = {"with_scheduler": False, "max_jobs": None, "max_idle_time": None}
        options["logging_level"] = "ERROR"
        embedded_runner.work(["default"], burst=True, options=options)
        return
    import django_rq
    from rq import SimpleWorker

    queue = django_rq.get_queue("default")
    SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")


def _wal_position() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
