"""Who tells when no runner is left to tell anything: whoever asks for the health of the crons."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Count, Min

from rqcron_events import clock
from rqcron_events.core.wording import shower

from ..models import MessageStatus
from .conf import alert_conf
from .courier import deliver_all, wake
from .follow import watch_runners
from .outbox import messages

__all__ = ["flush", "on_health", "problems"]

WAIT_SECONDS_MAX = 30.0
"""How long a command that ends afterwards waits for the receivers."""
FLUSH_SECONDS_MAX = 10.0
"""The same of one that decides what is due, and is called again."""
ATTEMPTS_TOLD = 3
"""From how many tries on it is a problem that a receiver does not take alerts."""
FAILED_TOLD = timedelta(days=1)


def on_health(*, waits: bool, **_: Any) -> None:
    """Of the signal ``health_checked``: look for a runner, and send what is due.

    :param waits: the process ends afterwards, so what is due is sent now; otherwise in threads.
    """
    conf = alert_conf()
    watch_runners(conf, clock.now())
    if waits:
        deliver_all(WAIT_SECONDS_MAX)
    else:
        wake()


def flush() -> None:
    """Send what is due, in a process that is about to end: its threads would end with it."""
    deliver_all(FLUSH_SECONDS_MAX)


def problems() -> list[str]:
    """Receivers that were not told, one sentence for each."""
    return [*_not_taking(), *_given_up()]


def _not_taking() -> Iterator[str]:
    late = messages().filter(status=MessageStatus.WAITING, attempts__gte=ATTEMPTS_TOLD)
    late = late.filter(receiver__in=[*alert_conf().receivers])  # nobody tries the others any more
    grouped = late.order_by("receiver").values_list("receiver")
    for receiver, since, count in grouped.annotate(Min("created_at"), Count("id")):
        row = late.filter(receiver=receiver).order_by("id").first()
        answer = row.answer if row else ""
        yield (
            f"Receiver {receiver!r} has not taken {count} alert{'s' * (count != 1)} since "
            f"{shower(None)(since)}: {answer}."
        )


def _given_up() -> Iterator[str]:
    failed = messages().filter(status=MessageStatus.FAILED, ended_at__gt=clock.now() - FAILED_TOLD)
    grouped = failed.order_by("receiver").values_list("receiver")
    for receiver, count in grouped.annotate(Count("id")):
        yield (
            f"Receiver {receiver!r} was not told of {count} alert{'s' * (count != 1)} within a day; "
            "see cron_signal."
        )
