"""Sends what is in the outbox, in a thread per receiver: one that hangs holds up no other, and nobody else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Thread

from django.db.utils import Error

from rqcron_events.core.wording import clause

from ..http import NotTaken, Refused
from ..models import AlertMessage, MessageStatus
from ..threads import Threads, own_connection, wait_for
from . import outbox
from .conf import Receiver, alert_conf
from .message import Message, message_of, write
from .receivers import send

__all__ = ["deliver", "deliver_all", "wake"]

log = logging.getLogger(__name__)

MESSAGES_MAX = 1_000
"""Of one call, should writers stay ahead of it for ever."""

threads = Threads("rqcron-alerts")


def wake() -> list[Thread]:
    """Start a thread for each receiver that something is due for, unless it has one, and return at once
    with all that work. One query for each receiver."""
    return threads.start(alert_conf().receivers, outbox.has_due, _work)


def deliver_all(seconds_max: float) -> bool:
    """Send what is due, for so long at most; False when somebody is still at it."""
    return wait_for(wake(), seconds_max)


def _work(name: str) -> None:
    try:
        with own_connection():
            deliver(alert_conf().receivers[name])
    except Error as error:
        log.warning(
            "Alerts for %s wait: %s.",
            name,
            clause(error),
            extra={"action": "alerts_wait", "receiver": name},
        )


def deliver(receiver: Receiver) -> int:
    """Send what is due to a receiver; how many messages it took. Raises Django's database errors."""
    sent = 0
    for _ in range(MESSAGES_MAX):
        batch = outbox.claim(receiver.name)
        if not batch:
            break
        sent += _deliver_one(receiver, batch)
    return sent


def _deliver_one(receiver: Receiver, batch: Sequence[AlertMessage]) -> bool:
    message = _message(batch)
    about = {"receiver": receiver.name, "batch": message.id, "alerts": len(batch)}
    try:
        answer = send(receiver, message)
    except Refused as error:
        outbox.settle(batch, MessageStatus.FAILED, str(error))
        _given_up(error, about)
        return False
    except NotTaken as error:
        if not outbox.put_off(batch, str(error), error.wait_seconds):
            _given_up(error, about)
        else:
            log.log(
                logging.DEBUG if batch[0].attempts else logging.WARNING,
                "Receiver %s does not take alerts: %s. They are tried again.",
                receiver.name,
                error,
                extra={"action": "alert_not_taken", **about},
            )
        return False
    outbox.settle(batch, MessageStatus.SENT, answer)
    log.info(
        "Receiver %s was told of %d alert(s): %s.",
        receiver.name,
        len(batch),
        answer,
        extra={"action": "alert_sent", **about},
    )
    return True


def _given_up(error: NotTaken, about: dict[str, object]) -> None:
    log.error(
        "Receiver %s is not told of %s alert(s): %s. They are not tried again; cron_signal lists them.",
        about["receiver"],
        about["alerts"],
        error,
        extra={"action": "alert_given_up", **about},
    )


def _message(batch: Sequence[AlertMessage]) -> Message:
    """As it was written for the first try: what is sent again is the same, byte for byte."""
    head = batch[0]
    assert head.batch is not None, "claimed"
    if head.body is None:
        head.body = write(batch)
        outbox.messages().filter(id=head.id).update(body=head.body)
    return message_of(head.batch, head.body)
