"""The job that RQ gets for a run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rq import Callback, Queue, Retry
from rq.exceptions import DeserializationError
from rq.job import Job

from .run_request import RunRequest, job_id

__all__ = [
    "META_KEY",
    "arguments",
    "asked",
    "description",
    "function_name",
    "job_data",
    "meta",
    "told_name",
    "try_dry",
]

CALLBACK_SECONDS_MAX = 30
FAILURE_TTL_SECONDS = 3 * 86_400
"""How long RQ keeps a job that failed, and its traceback, unless the cron says otherwise. RQ's own is a
year, some 7 kB each, and for ever for the traceback. The ledger has the outcome; the job is for people who
want to requeue it, and the evidence for the reconciler where a worker was killed: it lasts for as long as
database and runners may be away, a weekend. See docs/guarantees.md."""
FUNCTION_PREFIX = "rqcron_events.worker.cron."
"""With the cron's name behind it: django-rq's lists, RQ's logs and Sentry show a job's function and no
more. ``worker.__getattr__`` gives ``run_cron`` for each."""
META_KEY = "rqcron"
"""Where a job's meta holds slot and function, so that a worker knows them even without the
database."""


def job_data(request: RunRequest, result_ttl: int | None) -> Any:
    """For ``Queue.enqueue_many``; ``result_ttl`` is the queue's, in seconds. Raises what RQ raises
    for options that it does not take."""
    definition = request.definition
    options = definition.options
    retry = None
    if definition.retries is not None:
        retry = Retry(
            max=definition.retries.max,
            interval=list(definition.retries.intervals),
            enqueue_at_front=definition.retries.enqueue_at_front,
        )
    return Queue.prepare_data(
        function_name(request),
        args=arguments(request),
        job_id=job_id(request.run_id),
        description=description(request),
        timeout=options.get("timeout"),
        ttl=options.get("ttl"),
        result_ttl=options.get("result_ttl", result_ttl),
        failure_ttl=options.get("failure_ttl", FAILURE_TTL_SECONDS),
        at_front=bool(options.get("at_front")),
        meta=meta(request),
        retry=retry,
        on_success=_ON_SUCCESS,
        on_failure=_ON_FAILURE,
        on_stopped=_ON_STOPPED,
    )


# What differs between two jobs with the same options


def function_name(request: RunRequest) -> str:
    return FUNCTION_PREFIX + request.definition.present_name


def arguments(request: RunRequest) -> tuple[str, str]:
    """Those of ``run_cron``."""
    return request.definition.name, str(request.run_id)


def description(request: RunRequest) -> str:
    slot = request.slot
    return f"{request.definition.present_name} for {slot.isoformat() if slot else request.trigger}"


def meta(request: RunRequest) -> dict[str, Any]:
    definition = request.definition
    told: dict[str, Any] = {
        "slot": request.slot.isoformat() if request.slot else None,
        "trigger": request.trigger,
        "function": definition.function,
    }
    if definition.names:
        told["name"] = definition.present_name
    if request.args is not None:
        told["args"] = list(request.args)
    if request.kwargs is not None:
        told["kwargs"] = dict(request.kwargs)
    return {**definition.options.get("meta", {}), META_KEY: told}


def try_dry(queue: Queue, request: RunRequest, result_ttl: int | None) -> None:
    """Build the job and what would be stored of it, without Redis. Raises what RQ, the project's
    classes and its serializer raise."""
    options = job_data(request, result_ttl)._asdict()
    del options["at_front"]
    job = queue.create_job(**options)
    encoder = queue.connection.get_encoder()
    for value in job.to_dict().values():
        encoder.encode(value)  # type: ignore[no-untyped-call]


def told_name(job: Job) -> str:
    """What the job says the cron is called now, if it was renamed; empty otherwise."""
    name = job.meta.get(META_KEY, {}).get("name")
    return name if isinstance(name, str) else ""


def asked(job: Job) -> tuple[str, UUID]:
    """The cron and the run that the job was made for."""
    try:
        name, run_id = job.args
    except DeserializationError:  # its description and its id tell the same, to people
        name, run_id = (job.description or "").rpartition(" for ")[0], job.id.removeprefix("cron-")
    return name, UUID(run_id)


_ON_SUCCESS = Callback("rqcron_events.worker.on_success", timeout=CALLBACK_SECONDS_MAX)
_ON_FAILURE = Callback("rqcron_events.worker.on_failure", timeout=CALLBACK_SECONDS_MAX)
_ON_STOPPED = Callback("rqcron_events.worker.on_stopped", timeout=CALLBACK_SECONDS_MAX)
