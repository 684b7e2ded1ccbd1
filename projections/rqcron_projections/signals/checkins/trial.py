"""A check-in that nothing in the log is behind, to see whether a monitor takes it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

from rqcron_events.ledger import store

from ...models import CronJob, CronStatus
from ...report.names import present_name
from .conf import Monitor
from .courier import say
from .schedule import leaves_out
from .told import Told

__all__ = ["check_ins"]

TEST_CHECK = "rqcron-test"
"""Of services that make a check for whatever name they hear."""


def check_ins(monitor: Monitor, cron: str = "") -> Iterator[tuple[str, str]]:
    """What was said, and the answer, one after the other.

    With a cron: a run of it that succeeds, for its own check. Without: something that changes no check of a
    cron, where the protocol has that. Raises LookupError when there is no such cron, or one has to be
    given, and NotTaken.
    """
    text, run_id = "A test of cron_signal: nothing has run.", uuid4()
    begin = Told(state="begin", run_id=run_id, text=text)
    success = Told(state="good", run_id=run_id, text=text, duration_seconds=0.0)
    parts = {"begin": begin, "success": success}
    if cron:
        job = _job(monitor, cron)
        check = monitor.check_of(present_name(job))
    elif monitor.kind == "healthchecks":
        job = _job(monitor)
        check = monitor.check_of(present_name(job))
        parts = {"log": Told(state="note", run_id=None, text=text)}
    elif monitor.kind == "snitch":
        raise LookupError(
            f"A test of monitor {monitor.name!r} counts as a check-in. Say of which cron: --cron NAME"
        )
    else:
        job, check = None, TEST_CHECK
    assert check is not None, "the monitor is about that cron"
    for said, told in parts.items():
        if answer := say(monitor, check, told, job):
            yield said, answer


def _job(monitor: Monitor, cron: str = "") -> CronJob:
    """The cron of this name, or the first that the monitor is about."""
    jobs = CronJob.objects.using(store.connection().alias).exclude(status=CronStatus.RETIRED)
    for job in jobs.order_by("name"):
        called = present_name(job)
        about = monitor.check_of(called) is not None and not leaves_out(monitor.kind, job)
        if about and cron in ("", called):
            return job
        if called == cron:
            raise LookupError(
                f"Monitor {monitor.name!r} is not about cron {cron!r}. See 'crons' and 'checks' in "
                "RQCRON_CHECKINS."
            )
    what = f"No cron is named {cron!r}" if cron else "There is no cron yet that it is about"
    raise LookupError(f"{what}; see cron_list.")
