"""Makes the stored log, its answers and the stored job, by running a release for real.

See README.md beside this file for how to run it, against this or an older checkout.
"""

from __future__ import annotations

import base64
import io
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = Path(os.environ.get("STORED_OUT", HERE))
SOURCE = Path(os.environ.get("STORED_SOURCE", HERE.parents[1]))
"""The checkout whose code runs."""
HOST = "web-1"
START = "2026-03-06T08:58:00Z"
"""A Friday; on the Sunday the clocks of New York go forward."""
ASKED_AT = "2026-03-08T07:30:00+00:00"
WAIT_SECONDS_MAX = 30.0
FORK = multiprocessing.get_context("fork")
OFFSET = FORK.Value("d", 0.0)
"""Seconds by which every clock is moved, in all processes that are forked from this one."""


def main() -> None:
    if sys.argv[1:] not in (["log"], ["job"]):
        for part in ("log", "job"):  # a process each, because settings are read once
            subprocess.run([sys.executable, __file__, part], check=True)
        return
    sys.path[:0] = [str(SOURCE), str(SOURCE / "projections")]
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    from tests.servers import Servers

    with Servers("postgresql", {}) as servers:
        os.environ.update(servers.environment)
        if sys.argv[1] == "log":
            os.environ["TEST_APPS"] = "django.contrib.messages"  # it has no crons
            make_log(Stage())
        else:
            os.environ["TEST_APPS"] = "tests.crons_app"
            make_job(Stage())


class Stage:
    """A database and a Redis, a clock that can be moved, and processes."""

    def __init__(self) -> None:
        socket.gethostname = lambda: HOST
        self._directory = tempfile.TemporaryDirectory(prefix="stored-")
        self._children: list[Any] = []
        self._runners: list[Any] = []
        self.frozen: Any = None
        self._admin_url = os.environ["DATABASE_URL"]
        self.admin("CREATE DATABASE shop")
        os.environ["DATABASE_URL"] = self._admin_url.replace("/postgres?", "/shop?")
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection
        from django.db.models.functions import Now

        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE moved_clock (by interval NOT NULL)")
            cursor.execute("INSERT INTO moved_clock VALUES ('0')")
            cursor.execute(
                "CREATE FUNCTION moved_now() RETURNS timestamptz LANGUAGE sql STABLE AS "
                "'SELECT clock_timestamp() + by FROM moved_clock'"
            )
        Now.as_postgresql = lambda self, compiler, connection, **context: self.as_sql(
            compiler, connection, template="moved_now()", **context
        )
        call_command("migrate", verbosity=0)
        self.jump(START)
        _move_clocks()

    def jump(self, to: str) -> None:
        """Let it be that time; the clocks go on from there."""
        from django.db import connection, transaction

        offset = (datetime.fromisoformat(to) - datetime.now(UTC)).total_seconds()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE moved_clock SET by = %s * interval '1 second'", [offset])
            # As if they had sent their heartbeats all the time that is passed over.
            for process in self._runners:
                if process.exitcode is None and process is not self.frozen:
                    cursor.execute(
                        "UPDATE rqcron_lease SET renewed_at = moved_now() WHERE holder LIKE %s",
                        [f"{HOST}-{process.pid}-%"],
                    )
        OFFSET.value = offset
        print(f"--- {to}")

    def pass_seconds(self, seconds: float) -> None:
        from rqcron_events import clock

        self.jump(datetime.fromtimestamp(clock.now().timestamp() + seconds, UTC).isoformat())

    def fork(self, function: Callable[[], Any]) -> Any:
        """A process with this one's clocks; its output is in ``log``."""
        from django.db import connections

        connections.close_all()
        log = Path(self._directory.name) / f"{len(self._children)}.log"

        def child() -> None:
            with log.open("wb", buffering=0) as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            function()

        process = FORK.Process(target=child)
        process.start()
        process.log = log
        self._children.append(process)
        return process

    def runner(self, crons: dict[str, Any]) -> Any:
        """``cron_run`` with these crons in its code."""

        def run() -> None:
            _register(crons)
            _command("cron_run")

        before = _events("runner_started").count()
        process = self.fork(run)
        self._runners.append(process)
        self.until(lambda: _events("runner_started").count() > before)
        return process

    def worker(
        self,
        crons: dict[str, Any],
        *options: str,
        queues: str = "default high low",
        name: str = "worker-1",
        burst: bool = True,
        database: bool = True,
        **environment: str,
    ) -> Any:
        """``rqworker``; without ``database`` it cannot reach the ledger."""

        def work() -> None:
            os.environ.update(environment)
            _register(crons)
            if not database:
                _unreachable_database()
            more = ["--burst"] if burst else []
            _command("rqworker", *queues.split(), "--name", name, *more, *options)

        return self.fork(work)

    def work(self, crons: dict[str, Any], *options: str, **more: Any) -> None:
        """Let a worker empty the queues."""
        self.ended(self.worker(crons, *options, **more))

    def ended(self, process: Any) -> None:
        process.join(WAIT_SECONDS_MAX)
        if process.exitcode is None:
            self.fail("a process does not end")

    def stop(self, process: Any) -> None:
        process.terminate()
        self.ended(process)

    def kill(self, process: Any) -> None:
        import psutil

        for item in [*psutil.Process(process.pid).children(recursive=True), process]:
            item.kill()
        self.ended(process)

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not (value := condition()):
            if time.monotonic() > deadline:
                self.fail(f"not reached: line {condition.__code__.co_firstlineno}")
            time.sleep(0.05)
        return value

    def fail(self, why: str) -> None:
        for row in stored_rows()[-60:]:
            print({key: value for key, value in row.items() if value and key != "stream"})
        for process in self._children:
            print(f"--- {process.log.name}\n{process.log.read_text(errors='replace')[-3000:]}")
        self.end()
        raise SystemExit(why)

    def end(self) -> None:
        for process in self._children:
            if process.exitcode is None:
                self.kill(process)

    def admin(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute(statement)

    @contextmanager
    def database_away(self) -> Iterator[None]:
        from django.db import connections

        connections.close_all()
        self.admin("ALTER DATABASE shop WITH ALLOW_CONNECTIONS false")
        self.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'")
        try:
            yield
        finally:
            self.admin("ALTER DATABASE shop WITH ALLOW_CONNECTIONS true")


def make_log(stage: Stage) -> None:
    from django.db import connection
    from rq import Queue
    from rq.command import send_stop_job_command
    from rq.job import Job
    from shop import FIRST, SECOND, THIRD

    from rqcron_events.testing import FakeClock

    redis = _redis()

    def queued(run_id: str) -> Job:
        return Job.fetch(f"cron-{run_id}", connection=redis)

    def trigger(name: str, by: str = "ben", reason: str = "") -> str:
        return _said("cron_trigger", name, "--by", by, "--reason", reason).split()[-1].strip(".")

    def story(run_id: str, kind: str) -> Any:
        return _events(kind).for_run(run_id)

    runner = stage.runner(FIRST)
    stage.until(lambda: _events("cron_registered").count() == len(FIRST))

    stage.jump("2026-03-06T08:59:59.8Z")
    stage.until(lambda: _decided("orders", "09:00"))
    stage.jump("2026-03-06T09:01:00Z")
    stage.until(lambda: _decided("prices", "09:00"))
    stage.work(FIRST)

    stage.jump("2026-03-06T09:04:59.8Z")
    stage.until(lambda: _decided("invoices", "09:05"))
    stage.jump("2026-03-06T09:08:00Z")
    _said("cron_pause", "orders", "--until", "2026-03-06T11:30:00Z", "--by", "ann",
          "--reason", "the warehouse counts")  # fmt: skip
    stage.jump("2026-03-06T09:09:57Z")
    run_id = trigger("stock", reason="a delivery came")
    worker = stage.worker(FIRST, queues="low", SHOP_STOCK_SECONDS="5")
    stage.until(lambda: _decided("stock", "09:10"))
    stage.until(lambda: _decided("orders", "09:10"))
    stage.ended(worker)

    stage.jump("2026-03-06T09:14:59.8Z")
    stage.jump("2026-03-06T09:19:59.8Z")
    stage.until(lambda: _decided("stock", "09:20"))
    stage.jump("2026-03-06T09:25:00Z")
    stage.until(lambda: _decided("invoices", "09:15"))
    stage.work(FIRST)
    stage.until(lambda: _decided("invoices", "09:25"))
    _said("cron_pause", "--all", "--by", "ann", "--reason", "the database moves")
    stage.jump("2026-03-06T09:30:00Z")
    stage.until(lambda: _decided("stock", "09:30"))
    stage.jump("2026-03-06T09:31:00Z")
    _said("cron_resume", "--all", "--by", "ben", "--reason", "it has moved")
    _said("cron_resume", "orders", "--by", "ann")

    # Ways to end, and to begin
    for name in ("crash", "crash_once", "again", "again_always"):
        trigger(name)
    stage.work(FIRST)
    crash = _events("run_started").filter(cron="crash").get().run_id
    stage.pass_seconds(10)
    stage.until(lambda: story(crash, "run_failed").exists())

    run_id = trigger("crash_once", by="dan")
    stage.work(FIRST, "--max-jobs", "1")
    stage.pass_seconds(10)
    stage.until(lambda: story(run_id, "attempt_failed").exists())
    stage.work(FIRST)

    counted = trigger("orders")
    redis.rpush("rq:queue:default", f"cron-{counted}")
    refused = trigger("cards", by="dan", reason="try once more")
    redis.rpush("rq:queue:default", f"cron-{refused}")
    stage.work(FIRST)
    queued(refused).requeue()
    stage.work(FIRST)
    slot_run = _events("slot_fired").filter(cron="orders").first().run_id
    _said("cron_rerun", str(slot_run), "--by", "dan", "--reason", "the numbers were wrong")
    stage.work(FIRST)

    run_id = trigger("stock")
    worker = stage.worker(FIRST, queues="low", SHOP_STOCK_SECONDS="3")
    stage.until(lambda: story(run_id, "run_started").exists())
    redis.rpush("rq:queue:low", f"cron-{run_id}")
    stage.work(FIRST, queues="low", name="worker-2")
    stage.ended(worker)
    run_id = trigger("stock")
    worker = stage.worker(FIRST, queues="low", SHOP_STOCK_SECONDS="60")
    stage.until(lambda: story(run_id, "run_started").exists())
    stage.until(lambda: redis.pubsub_numsub("rq:pubsub:worker-1")[0][1])
    send_stop_job_command(redis, f"cron-{run_id}")
    stage.until(lambda: story(run_id, "run_stopped").exists())
    stage.ended(worker)

    cancelled, expired = trigger("mail"), trigger("short_lived")
    queued(cancelled).cancel()
    stage.until(lambda: not redis.exists(f"rq:job:cron-{expired}"))
    stage.pass_seconds(10)
    stage.until(lambda: _events("run_cancelled").count() == 2)

    unknown = trigger("export")
    without = {name: cron for name, cron in FIRST.items() if name != "export"}
    stage.ended(stage.fork(lambda: _give_nothing_back(without)))
    stage.until(lambda: story(unknown, "run_failed").exists())

    for name in ("archive", "close_books"):
        run_id = trigger(name)
        worker = stage.worker(FIRST, name=f"worker-{name}", SHOP_ARCHIVE_SECONDS="60")
        stage.until(lambda: story(run_id, "run_started").exists())  # noqa: B023
        stage.kill(worker)
    redis.flushdb()
    stage.pass_seconds(120)
    stage.until(lambda: _events("run_lost").count() == 2)
    again = stage.until(lambda: _events("run_requested").filter(actor__startswith="runner").first())
    stage.pass_seconds(10)
    stage.until(lambda: story(again.run_id, "run_enqueued").exists())
    stage.work(FIRST)

    # Redis is away, for a person and for the runner; then the database, for a worker
    before = _events("enqueue_failed").count()
    stage.ended(stage.fork(lambda: _trigger_without_redis("orders")))
    stage.until(lambda: _events("enqueue_failed").count() > before)
    stage.pass_seconds(10)
    stage.until(lambda: _events("run_enqueued").filter(data__has_key="found").exists())
    stage.work(FIRST)
    run_id = trigger("orders", by="ann")
    stage.work(FIRST, database=False)
    stage.pass_seconds(10)
    stage.until(lambda: story(run_id, "run_succeeded").exists())
    stage.jump("2026-03-06T09:49:59Z")
    redis.config_set("maxmemory", 1)
    stage.until(lambda: _decided("orders", "09:50"))
    stage.until(lambda: _events("enqueue_failed").filter(cron="orders", actor__startswith="runner"))
    redis.config_set("maxmemory", 0)
    stage.pass_seconds(20)
    stage.until(lambda: _open("orders") == 0)
    stage.work(FIRST)

    # Backfill
    for name in ("stock", "invoices"):
        _said("cron_pause", name, "--until", "2026-03-06T12:00:00Z", "--by", "ann")
    worker = stage.worker(FIRST, burst=False, name="worker-3")
    _said("cron_backfill", "orders", "--from", "2026-03-06T08:30:00Z", "--to",
          "2026-03-06T08:40:00Z", "--by", "dan", "--reason", "the shop was open")  # fmt: skip
    _said("cron_backfill", "orders", "--from", "2026-03-06T08:30:00Z", "--to",
          "2026-03-06T08:40:00Z", "--again", "recount", "--by", "dan")  # fmt: skip
    stage.stop(worker)

    # The leader freezes, then the database is away
    stage.jump("2026-03-06T10:08:00Z")
    stage.until(lambda: _decided("orders", "10:00"))
    stage.work(FIRST)
    standby = stage.runner(FIRST)
    stage.frozen = runner
    os.kill(runner.pid, signal.SIGSTOP)
    stage.jump("2026-03-06T10:11:30Z")
    stage.until(lambda: _events("runner_lost").exists())
    stage.until(lambda: _decided("orders", "10:10"))
    stage.until(lambda: _decided("prices", "10:10"))
    stage.frozen = None
    os.kill(runner.pid, signal.SIGCONT)
    stage.until(lambda: _events("runner_started").count() == 3)
    stage.stop(runner)
    stage.work(FIRST)
    with stage.database_away():
        stage.until(lambda: "does not answer" in standby.log.read_text())
        OFFSET.value += 540
    stage.pass_seconds(0)
    stage.until(lambda: _decided("orders", "10:20"))
    stage.work(FIRST)
    stage.stop(standby)

    # Downtime, and another deploy
    stage.jump("2026-03-06T12:10:30Z")
    runner = stage.runner(SECOND)
    stage.until(lambda: _events("cron_retired").exists())
    stage.until(lambda: _decided("export", "11:16"))
    stage.until(lambda: _decided("prices", "12:10"))
    stage.work(SECOND)
    stage.stop(runner)
    run_id = trigger("orders", by="ann", reason="before the fair")
    stage.work(SECOND, database=False)
    redis.delete("rqcron:spool", f"rqcron:spool:{run_id}")
    stage.jump("2026-03-06T13:59:50Z")
    runner = stage.runner(SECOND)
    stage.until(lambda: story(run_id, "run_succeeded").exists())
    stage.jump("2026-03-06T13:59:59.8Z")
    stage.until(lambda: _decided("digest", "14:00"))
    stage.work(SECOND)

    # The runner is killed before a weekend in which the clocks go forward
    stage.kill(runner)
    stage.jump("2026-03-08T07:05:00Z")
    runner = stage.runner(THIRD)
    stage.until(lambda: _events("runner_lost").count() == 2)
    stage.until(lambda: _events("slot_fired").filter(cron="night").count() == 2)
    stage.until(lambda: _open("night", "mail") == 0)
    stage.work(THIRD, queues="default")
    _said("cron_replay", "--by", "ann")
    stage.stop(runner)

    if _events("runner_lost").count() != 2:
        stage.fail("a runner took itself for lost; run this again")
    rows = stored_rows()
    _write_lines("log.jsonl", rows)
    _write("payloads.json", payloads(rows))
    with FakeClock(datetime.fromisoformat(ASKED_AT)):
        _write("answers.json", answers(rows))
    stage.end()
    assert Queue("default", connection=redis).count == 0
    connection.close()


def make_job(stage: Stage) -> None:
    """A job as the release puts it into Redis, and the events of its run so far."""
    redis = _redis()

    def once() -> None:
        stage.ended(stage.fork(lambda: _command("cron_run", "--once")))

    stage.jump("2026-03-06T02:59:30Z")
    once()
    stage.jump("2026-03-06T03:00:00.2Z")
    once()
    rows = [row for row in stored_rows() if row["cron"] == "archive"]
    (run_id,) = {row["run_id"] for row in rows if row["run_id"]}
    name = f"cron-{run_id}"
    stored = {
        "cron": "archive",
        "slot": "2026-03-06T03:00:00+00:00",
        "run_id": run_id,
        "job_id": name,
        "key": f"rq:job:{name}",
        "queue": "default",
        "queue_key": "rq:queue:default",
        "queues_key": "rq:queues",
        "fields": {
            key.decode(): _text_or_base64(value)
            for key, value in sorted(redis.hgetall(f"rq:job:{name}").items())
        },
        "rows": rows,
    }
    assert name.encode() in redis.lrange("rq:queue:default", 0, -1)
    _write("job.json", stored)
    stage.end()


# What is written


def stored_rows() -> list[dict[str, Any]]:
    """Every row of the log, every column."""
    from rqcron_events.models import CronEvent

    names = [field.attname for field in CronEvent._meta.concrete_fields]
    rows = CronEvent.objects.order_by("id").values(*names)
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value if isinstance(value, (dict, int, str, type(None))) else str(value)


def payloads(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One example of each set of keys that an event type's data has."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        keys = f"{row['type']} {' '.join(sorted(_key_paths(row['data'])))}"
        found.setdefault(keys, {key: row[key] for key in ("type", "schema_version", "data")})
    return [found[keys] for keys in sorted(found)]


def _key_paths(data: Any, prefix: str = "") -> Iterator[str]:
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        yield f"{prefix}{key}"
        yield from _key_paths(value, f"{prefix}{key}.")


def answers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the release answers about the log, at ASKED_AT."""
    crons = sorted({row["cron"] for row in rows if row["cron"]})
    questions = [[cron, "--at", f"{at}+00:00"] for cron, at in SLOTS]
    for kind in RUN_KINDS:
        runs = {
            row["run_id"]: None
            for row in rows
            if row["type"] == kind and ["--run", row["run_id"]] not in questions
        }
        questions += [["--run", run_id] for run_id in list(runs)[:RUNS_OF_A_KIND]]
    return {
        "asked_at": ASKED_AT,
        "audit": _asked("cron_audit"),
        "explain": [
            {"question": words, "answer": _asked("cron_explain", *words)} for words in questions
        ],
        "list": _asked("cron_list"),
        "history": {cron: _asked("cron_history", cron, "--limit", "100") for cron in crons},
    }


RUNS_OF_A_KIND = 1
RUN_KINDS = (
    "run_succeeded", "run_failed", "run_stopped", "run_cancelled", "run_declined", "run_lost",
    "start_refused", "enqueue_failed", "attempt_failed", "run_requested",
)  # fmt: skip
SLOTS = (
    ("orders", "2026-03-06T09:00:00"),  # fired, succeeded
    ("orders", "2026-03-06T08:30:00"),  # before the registration, backfilled
    ("orders", "2026-03-06T09:10:00"),  # paused
    ("orders", "2026-03-06T10:10:00"),  # the leader was frozen
    ("orders", "2026-03-06T10:20:00"),  # the database was away
    ("orders", "2026-03-06T11:00:00"),  # superseded
    ("orders", "2026-03-06T09:03:00"),  # not a slot
    ("orders", "2026-03-08T08:00:00"),  # still to come
    ("stock", "2026-03-06T09:10:00"),  # overlap, running
    ("stock", "2026-03-06T09:30:00"),  # everything is paused
    ("stock", "2026-03-08T06:00:00"),  # fired, not started yet
    ("invoices", "2026-03-06T09:15:00"),  # overlap, queued
    ("invoices", "2026-03-06T09:25:00"),  # waited
    ("prices", "2026-03-06T12:10:00"),  # jitter
    ("prices", "2026-03-06T10:10:00"),  # too late, by catch-up "none"
    ("cards", "2026-03-06T09:00:00"),  # fired, failed
    ("feed", "2026-03-06T12:00:00"),  # too late
    ("export", "2026-03-06T11:16:00"),  # retired
    ("digest", "2026-03-06T14:00:00"),  # retried
    ("night", "2026-03-08T07:00:00"),  # the clocks skipped its time
    ("unheard_of", "2026-03-06T09:00:00"),
)


def _asked(*words: str) -> Any:
    return json.loads(_said(*words, "--format", "json"))


def _write(name: str, value: Any) -> None:
    _write_text(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _write_lines(name: str, rows: list[Any]) -> None:
    _write_text(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write_text(name: str, text: str) -> None:
    text = _without_places(text)
    (OUT / name).write_text(text)
    print(f"{name}: {len(text.encode()):,} bytes, {text.count(chr(10))} lines")


def _without_places(text: str) -> str:
    """Where the code lies on this machine is nobody's business, and no two machines agree."""
    site_packages = Path(sysconfig.get_path("purelib"))
    places = {
        str(site_packages): "/srv/app/site-packages",
        str(site_packages.resolve()): "/srv/app/site-packages",
        str(HERE): "/srv/app/tests/stored",
        str(SOURCE): "/srv/app",
        str(SOURCE.resolve()): "/srv/app",
        sysconfig.get_path("stdlib"): "/srv/python",
    }
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, places[place])
    return text


def _text_or_base64(value: bytes) -> dict[str, str]:
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


# Inside the processes


def _move_clocks() -> None:
    """The package's, RQ's and, through ``moved_now()``, the database's."""
    import rq.utils

    from rqcron_events import clock

    def now() -> datetime:
        return datetime.fromtimestamp(time.time() + OFFSET.value, UTC)

    import rq.cli

    original = rq.utils.now
    for name, module in list(sys.modules.items()):
        if name.startswith("rq.") and getattr(module, "now", None) is original:
            module.now = now
    clock.now = now
    began = OFFSET.value
    clock.monotonic_seconds = lambda: time.monotonic() + OFFSET.value - began


def _register(crons: dict[str, Any]) -> None:
    from rqcron_events import register_cron

    for name, (function, options) in crons.items():
        register_cron(name=name, **options)(function)


def _command(*words: str) -> None:
    from django.core.management import call_command

    call_command(*words)


def _said(*words: str) -> str:
    """A command's output. A command that finds something wrong says so in it, too."""
    from django.core.management import call_command

    stream = io.StringIO()
    try:
        call_command(*words, stdout=stream)
    except SystemExit as ended:
        print(f"{words}: exit code {ended.code}")
    return stream.getvalue()


def _unreachable_database() -> None:
    from django.db import connection

    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")


def _give_nothing_back(crons: dict[str, Any]) -> None:
    from django.test import override_settings

    with override_settings(RQCRON_GIVE_BACK_SECONDS=0):
        _register(crons)
        _command("rqworker", "default", "--burst", "--name", "worker-4")


def _trigger_without_redis(name: str) -> None:
    from django.conf import settings

    for queue in settings.RQ_QUEUES.values():
        queue["URL"] = "redis://127.0.0.1:1/0"
    _command("cron_trigger", name, "--by", "eve")


def _redis() -> Any:
    from redis import Redis

    return Redis.from_url(os.environ["REDIS_URL"])


def _events(kind: str) -> Any:
    from rqcron_events.models import CronEvent

    return CronEvent.objects.of_type(kind).order_by("id")


def _decided(cron: str, slot: str) -> bool:
    from rqcron_events.models import CronEvent

    at = datetime.fromisoformat(f"2026-03-06T{slot}:00+00:00")
    return CronEvent.objects.for_cron(cron).decisions().filter(scheduled_for__gte=at).exists()


def _open(*crons: str) -> int:
    """Runs of slots that are not in Redis, as far as the log tells."""
    from rqcron_events.models import CronEvent

    fired = CronEvent.objects.of_type("slot_fired").filter(cron__in=crons)
    there = CronEvent.objects.of_type("run_enqueued").filter(cron__in=crons)
    return fired.exclude(run_id__in=there.values("run_id")).count()


if __name__ == "__main__":
    main()
