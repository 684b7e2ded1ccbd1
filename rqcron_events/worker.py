"""Inside RQ's worker: the job that runs a cron, and the three callbacks.

Facts about RQ 3.0 that shape this file, each seen in its source: ``on_success`` that raises turns
a good job into a failed one; ``on_failure`` is called for every attempt that has retries left,
too; a returned ``Retry`` calls nothing; a work-horse that is killed calls nothing; ``on_stopped``
and the clean-up of abandoned jobs run in the worker's parent process. So nothing here raises,
except what the user's function raised.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import os
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any
from uuid import UUID

import django
from django.apps import apps
from redis import Redis
from redis.exceptions import RedisError
from rq import Retry, get_current_job
from rq.exceptions import AbandonedJobError, DeserializationError
from rq.job import Job
from rq.timeouts import BaseTimeoutException


class DeclineRun(Exception):
    """Raise it in a cron when there is nothing to do: ``raise DeclineRun("no new orders")``.

    The run ends as declined, with your reason in the log; RQ sees a finished job.
    """


_current: ContextVar[CurrentRun | None] = ContextVar("rqcron_current_run", default=None)


def current_run() -> CurrentRun | None:
    """The run that this code is part of, or None outside of a cron's job.

    >>> current_run()
    """
    return _current.get()


if not (apps.ready or apps.loading):
    # RQ's SpawnWorker has a new interpreter import this before anything else. The models below need
    # Django, which imports the project's crons; what those take from here is above.
    django.setup()

# ruff: noqa: E402 - see above
from .conf import conf
from .core.events import Reason, make
from .core.wording import clause
from .errors import CronError
from .execution.attempt import Attempt, CurrentRun, begin, close, elsewhere
from .execution.enqueuer import META_KEY
from .execution.job_data import told_name
from .execution.redis_clock import executions_alive, redis_seconds
from .execution.told import CannotBeShown, failure_of, presentable, result_of, text_of
from .execution.work_horse.trace_context import in_trace
from .registry import BrokenModule, Registered, registry

__all__ = ["CronNotRegistered", "CurrentRun", "DeclineRun", "current_run", "run_cron"]

log = logging.getLogger(__name__)

GIVEN_BACK_SINCE = "given_back_since"
"""In a job's meta."""
GIVE_BACK_SECONDS_MIN = 5
GIVE_BACK_SECONDS_MAX = 60
"""How long a job that this code does not know stays away before a worker takes it again: as long as
it has been given back already, within these. Each time costs a work-horse, so few are worth it."""


OTHER_SERIALIZER = (
    "the worker cannot read the job: it was started without the SERIALIZER that RQ_QUEUES gives the "
    "queue. Use cron_worker, or rqworker --serializer"
)


class CronNotRegistered(CronError):
    """The worker's code has no such cron, or its module does not import."""


_attempts: dict[str, Attempt] = {}
"""By job id; RQ's callbacks run in the same process, after the job."""


def run_cron(name: str, run_id: str) -> Any:
    """The RQ job: run one cron and return what it returns. RQ calls it; you never need to."""
    job = get_current_job()
    if job is None:
        raise CronError(
            f"run_cron({name!r}, {run_id!r}) is an RQ job. To run the cron now, use "
            f"manage.py cron_trigger {name}; to test its function, call it directly."
        )
    registry.discover()
    if _found(job, name) is None:
        back = _give_back(job, name)
        if back is not None:
            return back
    elif job.meta.get(META_KEY, {}).pop(GIVEN_BACK_SINCE, None):
        with suppress(RedisError):  # then a later give-back may end early
            job.save_meta()  # type: ignore[no-untyped-call]
    attempt = begin(job, name, UUID(run_id))
    _attempts[job.id] = attempt
    if attempt.closed:
        return None
    try:
        result = _call(attempt, job, name)
    except DeclineRun as declined:
        close(attempt, partial(make.run_declined, reason=text_of(declined)))
        return None
    except BaseException as error:
        able = presentable(error)
        if able is error:
            raise
        raise able from None  # nobody after us should try to format it
    if isinstance(result, Retry):
        _record_returned_retry(attempt, job, result)
    if not attempt.closed:
        _record_success(attempt, job, result)
    return result


def __getattr__(name: str) -> Any:
    """RQ asks for the function that the job names: see ``FUNCTION_PREFIX``. Jobs of the first releases
    name ``run_cron`` itself."""
    if name.startswith("cron."):
        return run_cron
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _call(attempt: Attempt, job: Job, name: str) -> Any:
    """What the user's function returns, and RQ can keep."""
    process = os.getpid()
    token = _current.set(attempt.run)
    try:
        cron = _registered(job, name)
        told = job.meta.get(META_KEY, {})  # what somebody gave for this run alone
        args, kwargs = told.get("args"), told.get("kwargs")
        with in_trace(attempt.run.run_id, attempt.run.attempt):
            result = cron.function(
                *(cron.args if args is None else args),
                **(cron.kwargs if kwargs is None else kwargs),
            )
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
        if result is not None and not isinstance(result, Retry):
            # RQ would find out after the success is recorded, and fail the job then.
            job.serializer.dumps(result)
        return result
    finally:
        if os.getpid() != process:
            os._exit(1)  # a child that the function forked and let come back here
        _current.reset(token)


def _give_back(job: Job, name: str) -> Retry | None:
    """Give the job of a cron that this code does not know back, to be taken again after some time.

    During a rolling deploy old workers meet new crons. RQ has no "not mine"; returning its Retry
    comes closest, and the retries that it counts for that are taken off again at the real start.
    Until then the job is scheduled, so it keeps no worker and no queue busy. None when that has gone
    on for RQCRON_GIVE_BACK_SECONDS, or when this worker's own code is what is broken.
    """
    if _broken_module(job) is not None:
        return None
    meta = job.meta.setdefault(META_KEY, {})
    now = datetime.fromtimestamp(redis_seconds(job.connection), UTC)  # common to all workers
    since = _given_back_since(meta, now)
    passed = (now - since).total_seconds()
    left = conf().give_back_seconds - passed
    if left <= 0:
        return None
    if not meta.get("given_back"):
        log.warning(
            "Cron %s is not registered in this worker's code; its job goes back to the queue.",
            name,
            extra={"action": "given_back", "cron": name},
        )
    meta["given_back"] = int(meta.get("given_back") or 0) + 1
    meta[GIVEN_BACK_SINCE] = since.isoformat()
    job.save_meta()  # type: ignore[no-untyped-call]
    pause = min(max(passed, GIVE_BACK_SECONDS_MIN), left, GIVE_BACK_SECONDS_MAX)
    return Retry(max=(job.number_of_retries or 0) + 1, interval=max(math.ceil(pause), 1))


def _given_back_since(meta: dict[str, Any], now: datetime) -> datetime:
    """The first time; now when this is it, or when the note of it is not a time that has been."""
    try:
        since = datetime.fromisoformat(meta[GIVEN_BACK_SINCE])
        return min(since, now)
    except (KeyError, TypeError, ValueError):
        return now


def _broken_module(job: Job) -> BrokenModule | None:
    """The module of this worker that does not import and has, by the log, the job's cron."""
    told = job.meta.get(META_KEY, {}).get("function")
    return registry.broken_module_of(told) if isinstance(told, str) else None


def _found(job: Job, name: str) -> Registered | None:
    """The cron of this code, by the names that the job tells."""
    return registry.find(name, told_name(job))


def _registered(job: Job, name: str) -> Registered:
    cron = _found(job, name)
    if cron is not None:
        return cron
    mine = _broken_module(job)
    if mine is not None:
        raise CronNotRegistered(
            f"Cron {name!r} is in {mine.module}, which does not import in this worker: "
            f"{clause(mine.error)}. Fix the import, or deploy the code that the worker lacks."
        )
    broken = "; ".join(f"{item.module}: {item.error}" for item in registry.broken_modules.values())
    problems = "; ".join(registry.problems.get(name, ()))
    why = problems or (f"modules that do not import: {broken}" if broken else "")
    raise CronNotRegistered(
        f"Cron {name!r} is not registered in this worker's code. Deploy the code that has it, or "
        f"check that its app is in INSTALLED_APPS{'; ' + clause(why) if why else ''}."
    )


def _record_success(attempt: Attempt, job: Job, result: Any) -> None:
    """Here and not in RQ's callback: RQ calls that only if Redis answers when the function ends.

    A job that RQ then gives up, or tries again, has succeeded by the log, and is not started again.
    """
    kept = None
    cron = _found(job, attempt.run.cron)
    if result is not None and cron is not None and cron.definition.store_result:
        kept = result_of(result)
    close(attempt, partial(make.run_succeeded, result=kept))


def _record_returned_retry(attempt: Attempt, job: Job, retry: Retry) -> None:
    """RQ calls no callback for a returned Retry, so it is recorded before RQ sees it."""
    given_back = int(job.meta.get(META_KEY, {}).get("given_back", 0))
    if given_back:
        job.number_of_retries = max((job.number_of_retries or 0) - given_back, 0)
        job.meta[META_KEY]["given_back"] = 0
        job.save_meta()  # type: ignore[no-untyped-call]
    done = job.number_of_retries or 0
    exhausted = done > 0 and done >= retry.max
    retries_left = 0 if exhausted else retry.max - done
    end = make.run_failed if exhausted else make.attempt_failed
    close(attempt, partial(end, reason=Reason.RETRY_RETURNED, retries_left=retries_left))


# The callbacks


def on_success(job: Job, connection: Redis, result: Any) -> None:
    """RQ calls it before it marks the job finished; the success is recorded already."""
    _attempts.pop(job.id, None)


def on_failure(
    job: Job,
    connection: Redis,
    exc_type: type[BaseException] | None,
    exc_value: BaseException | None,
    exc_traceback: TracebackType | None,
) -> None:
    """RQ calls it after each attempt that raised, and for jobs that a dead worker left behind."""
    attempt = _attempts.pop(job.id, None)
    if attempt is not None and attempt.closed:
        return
    if exc_type is not None and issubclass(exc_type, DeserializationError):
        exc_value = exc_type(OTHER_SERIALIZER)  # RQ says nothing
    if attempt is None and _is_alive(job, exc_type):
        return
    retries_left = job.retries_left or 0
    error = failure_of(exc_type, exc_value, exc_traceback)
    end = make.attempt_failed if retries_left > 0 else make.run_failed
    kind = exc_value.kind if isinstance(exc_value, CannotBeShown) else exc_type
    reason = _failure_reason(kind)
    close(
        attempt or elsewhere(job),
        partial(end, reason=reason, error=error, retries_left=retries_left),
    )


def _is_alive(job: Job, exc_type: type[BaseException] | None) -> bool:
    """RQ gave up a job that is at work, because the clock of who cleaned up is ahead, or that of its
    worker behind. Its own end counts; the second start, if RQ makes one, is refused."""
    if exc_type is None or not issubclass(exc_type, AbandonedJobError):
        return False
    try:
        alive = bool(executions_alive(job))
    except RedisError:
        return False
    if alive:
        log.warning(
            "RQ gave up job %s, whose worker is alive: check the clocks of the machines that run "
            "workers. Its run stays open.",
            job.id,
            extra={"action": "living_job_given_up"},
        )
    return alive


def on_stopped(job: Job, connection: Redis) -> None:
    """RQ calls it in the worker's parent process after it killed the work-horse on request."""
    _attempts.pop(job.id, None)
    close(elsewhere(job), partial(make.run_stopped, reason="stopped on request"))


def _failure_reason(exc_type: type[BaseException] | None) -> Reason:
    if exc_type is None:
        return Reason.EXCEPTION
    if issubclass(exc_type, BaseTimeoutException):
        return Reason.TIMEOUT
    if issubclass(exc_type, AbandonedJobError):
        return Reason.WORKER_KILLED
    if issubclass(exc_type, CronNotRegistered):
        return Reason.NOT_REGISTERED
    return Reason.EXCEPTION
