"""``make poison``: what is wrong with one cron, run, row or dependency reaches none of the others.

A hundred one-second crons run clean for a while; then each poison comes, one after the other, and
then all are there together. The clean crons must miss nothing, and ``cron_health`` must name each
poison that stays. Lateness is printed beside that of the clean part, and judged by nobody: it says
little on a machine that does something else besides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import psycopg

from tests.processes import ROOT

from .stage import Stage

__all__ = ["main"]

CLEAN_SECONDS = 60.0
EACH_SECONDS = 12.0
TOGETHER_SECONDS = 120.0
BACKLOG_RUNS = 20_000

INSERT = """
    INSERT INTO rqcron_event
        (stream, version, type, schema_version, cron, run_id, reason, actor, occurred_at, data)
    VALUES (%s, %s, %s, 1, %s, %s, '', 'drill', now(), %s)
"""
DEFINITION = {"function": "elsewhere:work", "every_seconds": 1}


def _append(stage: Stage, stream: str, kind: str, data: dict, version: int = 1, **columns) -> None:
    stage.execute(
        INSERT,
        stream,
        version,
        kind,
        columns.get("cron", ""),
        columns.get("run_id"),
        json.dumps(data),
    )


def _register(stage: Stage, name: str, **definition) -> None:
    data = {
        "definition": {"name": name, **DEFINITION, **definition},
        "definition_version": 1,
        "effective_from": stage.rows("SELECT now() AS now")[0]["now"].isoformat(),
    }
    _append(stage, f"cron/{name}", "cron_registered", data, cron=name)


def a_queue_that_is_gone(stage: Stage) -> str:
    _register(stage, "queue-gone", queue="gone")
    return "queue-gone"


def an_option_that_rq_refuses(stage: Stage) -> str:
    _register(stage, "ttl-refused", options={"ttl": -1})
    return "ttl-refused"


def a_definition_that_cannot_be_read(stage: Stage) -> str:
    _append(stage, "cron/unreadable", "cron_registered", {"definition": []}, cron="unreadable")
    return "unreadable"


def a_type_that_nobody_knows(stage: Stage) -> str:
    _register(stage, "odd-type")
    _append(stage, "cron/odd-type", "slot_applauded", {}, 2, cron="odd-type")
    return "odd-type"


def a_run_that_cannot_be_read(stage: Stage) -> str:
    [run] = stage.rows(
        "SELECT run_id FROM rqcron_event WHERE type = 'run_enqueued' ORDER BY id DESC LIMIT 1"
    )
    name = "clean-000"
    data = {"retries_left": "many"}
    _append(stage, f"run/{run['run_id']}", "run_started", data, 2, cron=name, run_id=run["run_id"])
    return str(run["run_id"])


def a_snapshot_that_is_damaged(stage: Stage) -> str:
    stage.execute("UPDATE rqcron_snapshot SET state = '{}' WHERE name = 'clean-001'")
    return ""


def a_spool_that_is_forged(stage: Stage) -> str:
    connection = stage.redis.connect()
    run = str(uuid4())
    entry = {"id": uuid4().hex, "type": "run_succeeded", "cron": "clean-002"}
    connection.rpush(f"rqcron:spool:{run}", json.dumps(entry), "not json", "x" * 1_000_000)
    connection.zadd("rqcron:spool", {run: 1, "no run": 2})
    connection.close()
    return "entries of the spool"


def a_backlog_that_nobody_works_off(stage: Stage) -> str:
    _register(stage, "backlog", queue="low", expression="@yearly", every_seconds=None)
    stage.execute(
        """
        INSERT INTO rqcron_event
            (stream, version, type, schema_version, cron, run_id, reason, actor, occurred_at, data)
        SELECT 'cron/backlog', number, 'run_requested', 1, 'backlog', gen_random_uuid(), '', 'drill',
            now(), '{"trigger": "manual"}'
        FROM generate_series(2, 1 + %s) AS number
        """,
        BACKLOG_RUNS,
    )
    return ""


def a_redis_that_is_frozen(stage: Stage) -> str:
    stage.redis.freeze()
    time.sleep(EACH_SECONDS / 2)
    stage.redis.thaw()
    return ""


def a_lease_that_is_locked(stage: Stage) -> str:
    with stage.database.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM rqcron_lease FOR UPDATE")
        time.sleep(EACH_SECONDS)
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
    return ""


POISONS: tuple[Callable[[Stage], str], ...] = (
    a_queue_that_is_gone,
    an_option_that_rq_refuses,
    a_definition_that_cannot_be_read,
    a_type_that_nobody_knows,
    a_run_that_cannot_be_read,
    a_snapshot_that_is_damaged,
    a_spool_that_is_forged,
    a_backlog_that_nobody_works_off,
    a_redis_that_is_frozen,
    a_lease_that_is_locked,
)
"""Each returns what health has to name, or nothing for what passes by itself."""


def _health(stage: Stage) -> str:
    """What it names as wrong."""
    command = [sys.executable, str(ROOT / "manage.py"), "cron_health", "--format", "json"]
    done = subprocess.run(
        command, cwd=ROOT, env=stage.environment, capture_output=True, text=True, check=False
    )
    try:
        return "\n".join(json.loads(done.stdout)["problems"])
    except ValueError:
        return done.stdout + done.stderr


def _wait(stage: Stage, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stage.supervise()
        time.sleep(0.2)


def _lateness(stage: Stage, since: float, until: float) -> str:
    [row] = stage.rows(
        """
        SELECT count(*) AS slots,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY late) AS p50,
            percentile_cont(0.99) WITHIN GROUP (ORDER BY late) AS p99
        FROM (
            SELECT (data->>'lateness_seconds')::float8 AS late FROM rqcron_event
            WHERE type = 'slot_fired' AND cron LIKE 'clean-%%'
                AND occurred_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)
        ) AS fired
        """,
        since,
        until,
    )
    p50, p99 = ((row[key] or 0) * 1000 for key in ("p50", "p99"))
    return f"{row['slots']:>6} slots fired, lateness p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def _judge(stage: Stage) -> list[str]:
    wrong = [
        f"{row['cron']}: {row['slots']} slots {row['type']} ({row['reason']})"
        for row in stage.rows(
            "SELECT cron, type, reason, sum((data->>'count')::int) AS slots FROM rqcron_event "
            "WHERE cron LIKE 'clean-%%' AND type IN ('slot_missed', 'slot_skipped') "
            "GROUP BY cron, type, reason ORDER BY cron"
        )
    ]
    found = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "cron_audit", "--format", "json"],
        cwd=ROOT, env=stage.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    audit = json.loads(found.stdout)
    for cron in audit["crons"]:
        if cron["cron"].startswith("clean-") and cron["unaccounted"]:
            wrong.append(f"{cron['cron']}: unaccounted {cron['unaccounted'][:3]}")
    return wrong


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    wrong: list[str] = []
    with Stage() as stage:
        stage.environment["TEST_APPS"] = "tests.chaos.poisoned"
        stage.add("runner", "cron_run")
        # In one process: a fork for each of a hundred jobs a second would be all that is measured.
        # Its checks name what is wrong with the poisoned crons, and would keep it from starting.
        worker = ("rqworker", "default", "--skip-checks", "--worker-class", "rq.SimpleWorker")
        stage.add("worker", *worker)
        _wait(stage, 10)
        began = time.time()
        _wait(stage, CLEAN_SECONDS)
        print(f"{'clean':<34}{_lateness(stage, began, time.time())}", flush=True)
        named: list[tuple[str, str]] = []
        for poison in POISONS:
            began = time.time()
            name = poison(stage)
            _wait(stage, max(EACH_SECONDS - (time.time() - began), 1))
            label = poison.__name__.replace("_", " ")
            print(f"{label:<34}{_lateness(stage, began, time.time())}", flush=True)
            if name:
                named.append((label, name))
        began = time.time()
        _wait(stage, TOGETHER_SECONDS)
        print(f"{'all together':<34}{_lateness(stage, began, time.time())}", flush=True)
        told = _health(stage)
        wrong += [
            f"health does not name {name!r}: {label}" for label, name in named if name not in told
        ]
        wrong += _judge(stage)
        wrong += [f"{s.name} was started {s.starts} times" for s in stage.services if s.starts > 1]
        if wrong:
            print(told, stage.tail_of_logs(), sep="\n")
    for line in wrong:
        print(f"WRONG {line}")
    print("The clean crons missed nothing, and health names each poison." if not wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
