"""What is measured, each in a process of its own: ``python systems.py NAME COUNT`` prints JSON.

Every one prepares first, then starts the clock; nothing that a system does once at its start is
in its figure.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django
import psutil

MIDNIGHT = datetime(2030, 1, 2, tzinfo=UTC)
"""A Wednesday: every schedule of the benchmark is due."""
SECONDS_MAX = 60
"""Until our runner has enqueued all; otherwise something is wrong."""


def ledger(count: int) -> dict[str, Any]:
    """Our runner, with what concerns RQ in a thread beside it, as in ``cron_run``: two committed events and one
    job for each cron."""
    from rqcron_events import clock
    from rqcron_events.ledger.cron_states import States
    from rqcron_events.models import CronEvent
    from rqcron_events.process.gc_pause import IdleCollector
    from rqcron_events.registry import registry
    from rqcron_events.runner.loop import SWITCH_SECONDS
    from rqcron_events.runner.registration import sync
    from rqcron_events.runner.runner import Runner

    _set_clock(clock, MIDNIGHT - timedelta(seconds=10))
    runner = Runner()
    sync(registry, States.load(), runner.actor)
    runner.tick()  # leads, and has nothing to do yet
    enqueued: list[int] = []
    enqueue = runner.rq.enqueue

    def counted(*arguments: Any) -> list[Any]:
        events = enqueue(*arguments)
        enqueued.append(len(events))
        return events

    runner.rq.enqueue = counted
    runner.work_with_rq_beside()
    sys.setswitchinterval(SWITCH_SECONDS)
    IdleCollector().start()
    _set_clock(clock, MIDNIGHT)
    started = time.perf_counter()
    while sum(enqueued) < count and time.perf_counter() - started < SECONDS_MAX:
        time.sleep(runner.tick() / 100)  # 0 while there is more to decide
    seconds = time.perf_counter() - started
    written = {
        name: CronEvent.objects.filter(type=name).count() for name in ("slot_fired", "run_enqueued")
    }
    assert written == {"slot_fired": count, "run_enqueued": count}, written
    return _result(count, seconds)


def rq_cron(count: int) -> dict[str, Any]:
    """``rq cron``, of the installed RQ. Its line of log for each job is off."""
    from bench_crons.crons import name_of, noop, options_of
    from redis import Redis
    from rq import cron

    connection = Redis.from_url(os.environ["REDIS_URL"])
    scheduler = cron.CronScheduler(connection)
    logging.getLogger("rq.cron").setLevel(logging.WARNING)
    for index in range(count):
        options = options_of(index)
        every = options.get("every")
        scheduler.register(
            noop,
            "default",
            args=(name_of(index),),
            cron=options.get("schedule"),
            interval=int(every.total_seconds()) if every else None,
            name=name_of(index),
        )
    for job in scheduler.get_jobs():
        job.next_enqueue_time = cron.now()
    started = time.perf_counter()
    scheduler.enqueue_jobs()
    return _result(count, time.perf_counter() - started)


def enqueue_many(count: int) -> dict[str, Any]:
    """RQ's fastest way, with the very jobs that our runner makes, and no record: the ceiling."""
    import django_rq
    from bench_crons.crons import name_of
    from rq import Queue

    from rqcron_events.core.definition import run_id_for_slot
    from rqcron_events.execution.job_data import job_data
    from rqcron_events.execution.run_request import RunRequest
    from rqcron_events.registry import registry

    requests = [
        RunRequest(
            run_id=run_id_for_slot(name_of(index), MIDNIGHT),
            definition=registry.crons[name_of(index)].definition,
            slot=MIDNIGHT,
        )
        for index in range(count)
    ]
    values = [job_data(request, None)._asdict() for request in requests]
    queue = django_rq.get_queue("default")
    queue.get_redis_server_version()
    started = time.perf_counter()
    queue.enqueue_many([Queue.prepare_data(**value) for value in values])
    return _result(count, time.perf_counter() - started)


def enqueue_loop(count: int) -> dict[str, Any]:
    """django-rq's ``enqueue`` for each, as django-rq-cron does."""
    import django_rq
    from bench_crons.crons import name_of, noop

    django_rq.get_queue("default").get_redis_server_version()
    started = time.perf_counter()
    for index in range(count):
        django_rq.enqueue(noop, name_of(index))
    return _result(count, time.perf_counter() - started)


def plain_jobs(count: int) -> dict[str, Any]:
    """RQ's worker, one fork for each job, on a function that does nothing."""
    _enqueue_noop(count)
    return _work(count, _rqworker)


def cron_jobs(count: int) -> dict[str, Any]:
    """The same function as a cron: start and outcome of each run go to the ledger."""
    return _work_crons(count, _rqworker)


def plain_jobs_in_cron_worker(count: int) -> dict[str, Any]:
    """The same two, in the worker that ``manage.py cron_worker`` is."""
    _enqueue_noop(count)
    return _work(count, _cron_worker)


def cron_jobs_in_cron_worker(count: int) -> dict[str, Any]:
    return _work_crons(count, _cron_worker)


def _enqueue_noop(count: int) -> None:
    import django_rq
    from bench_crons.crons import name_of, noop

    queue = django_rq.get_queue("default")
    queue.enqueue_many([queue.prepare_data(noop, args=(name_of(i),)) for i in range(count)])


def _work_crons(count: int, work: Callable[[], None]) -> dict[str, Any]:
    from rqcron_events import clock
    from rqcron_events.models import CronEvent

    real_now = clock.now
    ledger(count)
    clock.now = real_now
    result = _work(count, work)
    assert CronEvent.objects.filter(type="run_succeeded").count() == count
    return result


def _rqworker() -> None:
    import django_rq

    django_rq.get_worker("default").work(burst=True, logging_level="ERROR")


def _cron_worker() -> None:
    from rqcron_events.execution.cron_worker import embedded_runner

    options = {"with_scheduler": False, "max_jobs": None, "max_idle_time": None}
    embedded_runner.work(["default"], burst=True, options={**options, "logging_level": "ERROR"})


def _work(count: int, work: Callable[[], None]) -> dict[str, Any]:
    import django_rq
    from rq.registry import FinishedJobRegistry

    postgresql = _postgresql()
    before = _cpu_seconds(), _cpu_seconds_of(postgresql)
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    after = _cpu_seconds(), _cpu_seconds_of(postgresql)
    queue = django_rq.get_queue("default")
    assert FinishedJobRegistry(queue=queue).count == count
    return {
        "jobs": count,
        "seconds": seconds,
        "ms_per_job": seconds / count * 1000,
        "cpu_ms_per_job": (after[0] - before[0]) / count * 1000,
        "postgresql_ms_per_job": (after[1] - before[1]) / count * 1000,
    }


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def _postgresql() -> psutil.Process | None:
    """The server's first process, if it runs here. Closes the connections of this process."""
    from django.db import connection, connections

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    try:
        found = psutil.Process(pid).parent()
    except psutil.NoSuchProcess:
        found = None
    connections.close_all()
    return found if found is not None and found.name() == "postgres" else None


def _cpu_seconds_of(process: psutil.Process | None) -> float:
    """With its children, those included that have ended; nan when it is elsewhere."""
    if process is None:
        return math.nan
    own = process.cpu_times()
    found = own.user + own.system + own.children_user + own.children_system
    for child in process.children():
        times = child.cpu_times()
        found += times.user + times.system
    return found


def _set_clock(clock: Any, at: datetime) -> None:
    clock.now = lambda: at


def _result(count: int, seconds: float) -> dict[str, Any]:
    import django_rq

    in_redis = django_rq.get_queue("default").count
    assert in_redis == count, f"{in_redis} of {count} jobs are in Redis"
    return {"jobs": count, "seconds": seconds, "jobs_per_second": count / seconds}


SYSTEMS: dict[str, Callable[[int], dict[str, Any]]] = {
    system.__name__: system
    for system in (
        ledger, rq_cron, enqueue_many, enqueue_loop, plain_jobs, cron_jobs,
        plain_jobs_in_cron_worker, cron_jobs_in_cron_worker,
    )
}  # fmt: skip


if __name__ == "__main__":
    django.setup()
    print(json.dumps(SYSTEMS[sys.argv[1]](int(sys.argv[2]))))
