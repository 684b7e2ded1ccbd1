"""RQ's worker, begun again after Redis was away.

RQ's worker waits for Redis only while it has nothing to do. While it starts, watches a work-horse or
says goodbye, it ends, and with it would end whatever its process carries.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AuthenticationError, RedisError
from rq import Worker
from rq.exceptions import StopRequested

from ...core.wording import clause
from ..refusal import is_outage

__all__ = ["PatientWorker"]

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 5.0
STEADY_SECONDS = 60.0
"""A worker that worked for so long starts again with the shortest pause."""
ANSWER_SECONDS_MAX = 5.0
"""How long a word to Redis may take that the work does not depend on."""


_WORDS = (
    "set_shutdown_requested_date",
    "maintain_heartbeats",
    "set_current_job_working_time",  # RQ 2
)
"""What RQ's worker tells Redis while a work-horse is at work."""


@dataclass(slots=True)
class _Round:
    """One worker, from its birth to its end."""

    jobs: int = 0
    idle: bool = False
    """It found nothing to do for as long as it was told to wait."""


class _Ends(SystemExit):
    """RQ's StopRequested, as nobody's ``except Exception`` takes it: a signal comes at any line, be it of
    logging or redis-py, which go on after any. RQ lets a SystemExit pass."""


class PatientWorker:
    """Works until it is asked to stop, or has done what it was to do.

    ``make`` makes RQ's worker; ``on_stop`` is called in the signal handler that ends it all, and must
    not wait. Not for burst mode.
    """

    def __init__(self, make: Callable[[], Worker], on_stop: Callable[[], None]) -> None:
        self._make = make
        self._on_stop = on_stop
        self._stopping = False
        self._worked = False
        """A worker was born, so what Redis refuses from now on is no wrong setting."""
        self._away = False
        self._left_behind: Worker | None = None
        """One that could not say goodbye: its name is still taken."""

    def work(self, *, max_jobs: int | None, **options: Any) -> None:
        """RQ's ``Worker.work`` with these options, as often as it takes. Raises what a worker raises that
        cannot start for another reason than Redis being away."""
        jobs_left = max_jobs
        pause = PAUSE_SECONDS
        self._heed_signals()
        while not self._stopping:
            began_at = time.monotonic()
            done = _Round()
            try:
                self._work_once(done, max_jobs=jobs_left, **options)
            except (_Ends, StopRequested):  # the second: RQ begins to, or says goodbye already
                return
            except Exception as error:
                if not self._outlives(error):
                    raise
            finally:
                self._heed_signals()
            if jobs_left is not None:
                jobs_left -= done.jobs
            if self._stopping or done.idle or jobs_left == 0:
                return
            if not self._away:
                log.error(
                    "The worker ended by itself; it is started again in %.1f s. Its runner goes on.",
                    pause,
                    extra={"action": "worker_restarted"},
                )
            if time.monotonic() - began_at > STEADY_SECONDS:
                pause = PAUSE_SECONDS
            time.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _work_once(self, done: _Round, **options: Any) -> None:
        if self._left_behind is not None:
            self._left_behind.register_death()  # type: ignore[no-untyped-call]
            self._left_behind = None
        worker = self._make()
        self._watch(worker, done)
        worker.work(**options)

    def _watch(self, worker: Worker, done: _Round) -> None:
        """On the instance, because the class is the project's choice (RQ["WORKER_CLASS"])."""
        subscribe, dequeue = worker.subscribe, worker.dequeue_job_and_maintain_ttl
        execute, warm_stop = worker.execute_job, worker.handle_warm_shutdown_request
        death, shut_down = worker.register_death, worker._shutdown
        patched: Any = worker

        def born() -> None:
            subscribe()  # type: ignore[no-untyped-call]
            self._say_back()

        def next_job(*args: Any, **kwargs: Any) -> Any:
            found = dequeue(*args, **kwargs)
            done.idle = found is None
            return found

        def execute_job(*args: Any, **kwargs: Any) -> None:
            execute(*args, **kwargs)
            done.jobs += 1

        def stop() -> None:
            self._stopping = True
            self._on_stop()
            warm_stop()  # type: ignore[no-untyped-call]

        def shutdown() -> None:
            try:
                shut_down()  # type: ignore[no-untyped-call]
            except StopRequested:
                raise _Ends(0) from None

        def register_death() -> None:
            self._left_behind = worker
            death()  # type: ignore[no-untyped-call]
            self._left_behind = None

        patched.subscribe, patched.register_death = born, register_death
        patched.dequeue_job_and_maintain_ttl, patched.execute_job = next_job, execute_job
        patched.handle_warm_shutdown_request, patched._shutdown = stop, shutdown
        patched.heartbeat = _listed_heartbeat(worker)
        patched.max_connection_wait_time = PAUSE_SECONDS_MAX  # RQ's: a minute
        # Words that may be lost. Redis-py can wait for minutes for an answer: RQ sets its bound by how
        # long a worker waits for jobs.
        for name in _WORDS:
            if hasattr(worker, name):
                setattr(patched, name, _Bounded(getattr(worker, name)))
        patched.teardown = _Bounded(worker.teardown, or_else=lambda: _let_go(worker))
        patched.stop_scheduler = _Bounded(
            worker.stop_scheduler, or_else=lambda: _kill_scheduler(worker)
        )

    def _outlives(self, error: Exception) -> bool:
        """Whether to begin again. What the first worker cannot start with may be a wrong setting."""
        is_setting = isinstance(error, AuthenticationError) and not self._worked
        if is_outage(error) and not is_setting:
            self._say_away(error)
            return True
        if self._worked:
            log.error("The worker failed.", exc_info=error, extra={"action": "worker_failed"})
        return self._worked

    def _heed_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._end_now)
        signal.signal(signal.SIGINT, self._end_now)

    def _end_now(self, *_: object) -> None:
        """Between two workers, and until one is born: nothing is under way."""
        self._stopping = True
        self._on_stop()
        sys.exit(0)

    def _say_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            log.error(
                "The worker waits for Redis, which does not answer: %s. Its runner goes on. If this "
                "stays, check RQ_QUEUES.",
                clause(error),
                extra={"action": "worker_waits"},
            )

    def _say_back(self) -> None:
        self._worked = True
        if self._away:
            self._away = False
            log.warning("The worker works again.", extra={"action": "worker_back"})


def _listed_heartbeat(worker: Worker) -> Callable[..., None]:
    """RQ's heartbeat, which also enters the worker into RQ's lists again where Redis was emptied.

    RQ does that at birth only. Until its end it would then work and be listed nowhere, so that every
    answer says that nobody serves its queues.
    """
    heartbeat = worker.heartbeat

    def beat(*args: Any, **options: Any) -> None:
        heartbeat(*args, **options)
        in_transaction = len(args) > 1 or options.get("pipeline") is not None
        if in_transaction or worker.connection.hexists(worker.key, "birth"):
            return
        worker.connection.delete(worker.key)  # what the heartbeat left there
        worker.register_birth()  # type: ignore[no-untyped-call]
        log.warning(
            "Redis was emptied; RQ lists this worker again.",
            extra={"action": "worker_listed_again"},
        )

    return beat


class _Bounded:
    """A call that asks Redis, in a thread of its own: an answer that does not come is not waited for."""

    def __init__(self, call: Callable[..., Any], or_else: Callable[[], None] | None = None) -> None:
        self._call = call
        self._or_else = or_else
        self._thread: threading.Thread | None = None
        self._answered = threading.Event()

    def __call__(self, *args: Any, **options: Any) -> None:
        if options:  # RQ 2: as a part of a transaction, which asks nobody here
            self._call(*args, **options)
            return
        if self._thread is None or not self._thread.is_alive():
            self._answered.clear()
            self._thread = threading.Thread(target=self._run, args=args, daemon=True)
            self._thread.start()
        self._thread.join(ANSWER_SECONDS_MAX)
        if not self._answered.is_set() and self._or_else is not None:
            self._or_else()

    def _run(self, *args: Any) -> None:
        try:
            self._call(*args)
            self._answered.set()
        except RedisError as error:
            log.debug("Redis was not told: %s", error, extra={"action": "redis_not_told"})


def _let_go(worker: Worker) -> None:
    """What goodbye would do here, without Redis: its thread for commands would ask for ever."""
    commands: Any = worker.pubsub_thread
    if commands is not None:
        commands.stop()
    _kill_scheduler(worker)


def _kill_scheduler(worker: Worker) -> None:
    """RQ's scheduler gives its locks back before it ends, and Python waits for it, however long. They
    expire by themselves."""
    process: Any = worker.scheduler._process if worker.scheduler else None
    if process is not None:
        process.kill()
