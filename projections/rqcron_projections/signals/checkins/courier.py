"""Sends what is in the outbox, in a thread per monitor, and side by side for different crons."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from threading import Thread
from uuid import uuid4

from django.db.utils import Error

from rqcron_events.core.wording import clause

from ...models import CronJob
from ...report.names import present_name
from ..http import NotReached, NotTaken, Refused
from ..jobs import jobs_of
from ..models import CheckIn
from ..threads import Threads, own_connection, side_by_side, wait_for
from . import outbox
from .conf import Monitor, monitors
from .outbox import Due
from .pings import PINGS, ping
from .schedule import definition_of, leaves_out
from .sentry import MonitorAway, check_in
from .told import Told, told_of

__all__ = ["SENDERS", "deliver", "flush", "say", "threads", "wake"]

log = logging.getLogger(__name__)

SENDERS = 8
"""Requests to one monitor at once. So many may be sent twice when the process is killed."""
ROUNDS_MAX = 1_000
"""Of one call, should writers stay ahead of it for ever."""

FLUSH_SECONDS_MAX = 10.0

threads = Threads("rqcron-checkins")


def wake() -> list[Thread]:
    """Start a thread for each monitor that something is due for, unless it has one, and return at once."""
    due = set(outbox.with_due())
    return threads.start([name for name in monitors() if name in due], outbox.has_due, _work)


def flush() -> None:
    """Send what is due, in a process that is about to end: its threads would end with it."""
    wait_for(wake(), FLUSH_SECONDS_MAX)


def _work(name: str) -> None:
    try:
        with own_connection():
            deliver(monitors()[name])
    except Error as error:
        log.warning(
            "Check-ins for %s wait: %s.",
            name,
            clause(error),
            extra={"action": "checkins_wait", "monitor": name},
        )


def deliver(monitor: Monitor) -> int:
    """Send what is due to a monitor; how many check-ins it took. Raises Django's database errors."""
    mine, sent = uuid4(), 0
    if not outbox.has_due(monitor.name) or not outbox.claim(monitor.name, mine):
        return 0
    try:
        for _ in range(ROUNDS_MAX):
            items = outbox.due(monitor)
            if not items:
                break
            jobs = jobs_of({item.row.cron for item in items})
            for start in range(0, len(items), SENDERS):
                if not outbox.claim(monitor.name, mine):
                    return sent  # it took too long, and another process goes on
                taken = _wave(monitor, items[start : start + SENDERS], jobs)
                if taken is None:
                    return sent
                sent += taken
    finally:
        outbox.release(monitor.name, mine)
    return sent


def say(monitor: Monitor, check: str, told: Told, job: CronJob | None) -> str:
    """Tell a monitor something, and return what it answered; empty: it cannot be told such a thing.

    Raises NotTaken, whatever goes wrong, without secrets in its text. Uses no database.
    """
    try:
        if monitor.kind in PINGS:
            return ping(monitor, check, told)
        return check_in(monitor, check, told, definition_of(job))
    except NotTaken:
        raise
    except Exception as error:  # whatever the SDK raises
        # Not its text: it may hold the URL with its key.
        raise NotTaken(type(error).__name__) from None


def _wave(monitor: Monitor, items: Sequence[Due], jobs: Mapping[str, CronJob]) -> int | None:
    """Send these at once; how many were taken. None when nobody answers, so that the others wait, too."""
    wanted, left_out = [], []
    for item in items:
        job = jobs.get(item.row.cron)
        called = present_name(job) if job else item.row.cron
        check = None if leaves_out(monitor.kind, job) else monitor.check_of(called)
        if check is None:  # the settings or the schedule have changed
            left_out.append(item.row)
        else:
            wanted.append((item, check, told_of(item.row, called, item.begun_at), job))
    outbox.leave_out(monitor.name, left_out)
    if not wanted:
        return 0

    def send(part: tuple[Due, str, Told, CronJob | None]) -> str | NotTaken:
        _, check, told, job = part
        try:
            return say(monitor, check, told, job)
        except NotTaken as error:
            return error

    answers = side_by_side(send, wanted)
    failed = [answer for answer in answers if isinstance(answer, NotTaken)]
    away = _away(failed, len(answers))
    rows = [item.row for item, *_ in wanted]
    said = list(zip(rows, answers, strict=True))
    _taken(monitor, [(row, answer) for row, answer in said if isinstance(answer, str)])
    not_taken = []
    for row, answer in said:
        if isinstance(answer, Refused):
            outbox.settle(monitor.name, [row], str(answer), sent=False)
            _given_up(monitor.name, row.cron, answer)
        elif isinstance(answer, NotTaken) and away is None:
            _not_taken(monitor, row, answer)
        elif isinstance(answer, NotTaken):
            not_taken.append(row)
    if away is not None:
        _silent(monitor, not_taken, away)
        return None
    return len(answers) - len(failed)


def _away(failed: Sequence[NotTaken], tried: int) -> NotTaken | None:
    """Why the monitor is left alone as a whole, or None: where it answered something else to any of them,
    it is a matter of single crons."""
    limited = [error for error in failed if isinstance(error, MonitorAway)]
    if limited:
        return max(limited, key=lambda error: error.wait_seconds)
    if len(failed) < tried or not failed:
        return None
    silent = [error for error in failed if isinstance(error, NotReached)]
    if silent:
        return silent[0]
    answers = [error for error in failed if not isinstance(error, Refused)]
    return answers[0] if len(answers) == SENDERS else None


def _taken(monitor: Monitor, said: Sequence[tuple[CheckIn, str]]) -> None:
    for answer in sorted({answer for _, answer in said}):
        rows = [row for row, own in said if own == answer]
        if not answer:  # the protocol has no word for them
            outbox.leave_out(monitor.name, rows)
            continue
        outbox.settle(monitor.name, rows, answer)
        for row in rows:
            log.debug(
                "Monitor %s was told of %s: %s: %s.",
                monitor.name,
                row.cron,
                row.fate,
                answer,
                extra={"action": "checkin_sent", "monitor": monitor.name, "cron": row.cron},
            )


def _not_taken(monitor: Monitor, row: CheckIn, error: NotTaken) -> None:
    outbox.put_off(row, str(error), error.wait_seconds)
    log.log(
        logging.DEBUG if row.attempts else logging.WARNING,
        "Monitor %s does not take a check-in of %s: %s. It is tried again.",
        monitor.name,
        row.cron,
        error,
        extra={"action": "checkin_not_taken", "monitor": monitor.name, "cron": row.cron},
    )


def _silent(monitor: Monitor, rows: Sequence[CheckIn], error: NotTaken) -> None:
    first = outbox.put_off_monitor(monitor.name, rows, str(error), error.wait_seconds)
    log.log(
        logging.WARNING if first else logging.DEBUG,
        "Monitor %s takes no check-ins: %s. They are tried again.",
        monitor.name,
        error,
        extra={"action": "checkin_monitor_away", "monitor": monitor.name},
    )


def _given_up(monitor: str, cron: str, why: object) -> None:
    log.error(
        "Monitor %s is not told of a run of %s: %s. It is not tried again; cron_signal lists it.",
        monitor,
        cron,
        why,
        extra={"action": "checkin_given_up", "monitor": monitor, "cron": cron},
    )


def tend(monitor: Monitor) -> None:
    """Give up what is too old, and leave out what piles up while the monitor is away."""
    mine = uuid4()
    if not outbox.needs_care(monitor.name) or not outbox.claim(monitor.name, mine):
        return
    try:
        for row in outbox.give_up_old(monitor.name):
            _given_up(monitor.name, row.cron, row.answer or "not taken for three days")
        outbox.thin(monitor)
    finally:
        outbox.release(monitor.name, mine)
