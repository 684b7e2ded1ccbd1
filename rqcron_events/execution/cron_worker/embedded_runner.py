"""An RQ worker that carries a runner in its own process tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django_rq.workers import get_worker
from rq import Worker
from rq.serializers import resolve_serializer

from ...conf import rq_queues
from ...errors import CronConfigError
from ...process.kept_child import KeptChild
from ...registry import registry
from ..ledger_writer.child import WriterChild
from ..work_horse.start import first_start
from .patient_worker import PatientWorker

__all__ = ["queues_of_crons", "work"]

STOP_SECONDS_MAX = 8.0


def _runner_child() -> KeptChild:
    """``cron_run``. It dies with the worker, even when the worker is killed."""
    arguments = ["-m", "django", "cron_run", "--die-with-parent", str(os.getpid())]
    return KeptChild(
        arguments,
        name="runner",
        about={"action": "runner_restarted"},
        stop_seconds_max=STOP_SECONDS_MAX,
    )


def work(queues: list[str], *, burst: bool, options: dict[str, Any]) -> None:
    """Run django-rq's worker on the queues, with a writer beside it, and a runner unless ``burst``.

    Redis that is away is waited for, unless ``burst``. Raises redis-py's errors, what RQ and
    django-rq raise for a worker that cannot start, and CronConfigError when no single serializer
    reads the jobs of all queues.
    """
    with_scheduler = options.pop("with_scheduler") or _retries_wait()
    limits = {key: options.pop(key) for key in ("max_jobs", "max_idle_time")}
    level = options.pop("logging_level")
    serializer = _serializer(queues, options.pop("serializer", None))
    writer = WriterChild(first_start)

    def make() -> Worker:
        return writer.watch(get_worker(*queues, serializer=serializer, **options))

    _close_connections()
    limits |= {"with_scheduler": with_scheduler, "logging_level": level}
    try:
        if burst:
            make().work(burst=True, **limits)
        else:
            _work_beside_runner(make, limits)
    finally:
        writer.stop()


def _close_connections() -> None:
    """Before work-horses are forked, which would share them. A pool of Django's keeps those that are
    closed, and each work-horse would take the same one out of it."""
    connections.close_all()
    for db in connections.all():
        with suppress(ImproperlyConfigured):  # another database's; whoever uses that is told
            getattr(db, "close_pool", lambda: None)()


def _work_beside_runner(make: Callable[[], Worker], limits: dict[str, Any]) -> None:
    child = _runner_child()
    child.start()
    try:
        PatientWorker(make, on_stop=child.request_stop).work(**limits)
    finally:
        child.stop()


def queues_of_crons() -> list[str]:
    """Those that this code's crons need, in the order of RQ_QUEUES; where there are none, ``default``
    or the first one."""
    needed = {cron.definition.queue for cron in registry.crons.values()}
    found = [name for name in rq_queues() if name in needed]
    known = [*rq_queues()]
    return found or (["default"] if "default" in known else known[:1])


def _serializer(queues: list[str], wanted: Any) -> Any:
    """A worker reads all its jobs with one; RQ asks nobody for that of the queues."""
    found: dict[str, Any] = {name: rq_queues()[name].get("SERIALIZER") for name in queues}
    given = wanted if wanted is not None else found[queues[0]]
    for name, own in found.items():
        if resolve_serializer(own) is not resolve_serializer(given):
            raise CronConfigError(
                f"Queue {name!r} has SERIALIZER {own or 'pickle'} in RQ_QUEUES, which a worker with "
                f"{given or 'pickle'} cannot read. Start a worker for the queues of each serializer, "
                "and let --serializer be the one of its queues."
            )
    return given


def _retries_wait() -> bool:
    """RQ needs its scheduler to enqueue a retry after an interval; without one it never runs."""
    return any(
        cron.definition.retries is not None and any(cron.definition.retries.intervals)
        for cron in registry.crons.values()
    )
