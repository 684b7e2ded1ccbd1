"""The outbox: one row per change and receiver, written with the change and sent afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet

from rqcron_events import clock
from rqcron_events.ledger import store

from ..models import AlertMessage, MessageStatus
from ..retry import ANSWER_CHARS_MAX, GIVE_UP_SECONDS, KEPT, back_off
from .conf import alert_conf
from .state import Told

__all__ = [
    "BATCH_MAX",
    "claim",
    "has_due",
    "messages",
    "prune",
    "put",
    "put_off",
    "receiver_rows",
    "settle",
]

BATCH_MAX = 100
"""Changes that one message tells of."""
CLAIM_SECONDS = 120.0
"""How long a process may take to send one message: longer than all time-outs of a receiver together."""
PRUNED_MAX = 1_000


def messages() -> QuerySet[AlertMessage]:
    return AlertMessage.objects.using(store.connection().alias)


def put(told: Iterable[Told], now: datetime) -> None:
    """In the transaction that changes the state."""
    rows = [
        AlertMessage(
            receiver=receiver,
            rule=item.rule.name,
            kind=item.rule.kind.value,
            cron=item.cron,
            change=item.change.value,
            at=item.at,
            detail=item.detail,
            created_at=now,
            next_try_at=now,
        )
        for item in told
        for receiver in item.rule.receivers
    ]
    messages().bulk_create(rows, batch_size=500)


def has_due(receiver: str) -> bool:
    head = _head(receiver)
    return head is not None and _is_free(head, clock.now())


def claim(receiver: str) -> list[AlertMessage]:
    """What is to be sent to a receiver next, for this process alone; empty: nothing is due, or another
    process is at it.

    The oldest comes first, and what has been tried together stays together. What waits behind a
    message that was not taken waits with it, so a recovery never overtakes its alert.
    """
    now = clock.now()
    head = _head(receiver)
    if head is None or not _is_free(head, now):
        return []
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    with transaction.atomic(using=store.connection().alias):
        mine = messages().filter(free, id=head.id, status=MessageStatus.WAITING)
        if not mine.update(claimed_until=now + timedelta(seconds=CLAIM_SECONDS)):
            return []
        batch = head.batch or uuid.uuid4()
        waiting = _waiting(receiver)
        if head.batch is None:
            ids = list(waiting.filter(batch=None).values_list("id", flat=True)[:BATCH_MAX])
            messages().filter(id__in=ids).update(batch=batch)
        return list(waiting.filter(batch=batch))


def settle(batch: Sequence[AlertMessage], status: MessageStatus, answer: str) -> None:
    """It was sent, or will never be. What it said is not kept: it may name somebody."""
    messages().filter(batch=batch[0].batch).update(
        body=None,
        status=status,
        attempts=batch[0].attempts + 1,
        answer=answer[:ANSWER_CHARS_MAX],
        ended_at=clock.now(),
        claimed_until=None,
    )


def put_off(batch: Sequence[AlertMessage], answer: str, wait_seconds: float = 0.0) -> bool:
    """Try again later; False when that has gone on for too long, and it was given up.

    ``wait_seconds``: what the receiver asks for, within bounds.
    """
    now, head = clock.now(), batch[0]
    if (now - head.created_at).total_seconds() > GIVE_UP_SECONDS:
        settle(batch, MessageStatus.FAILED, answer)
        return False
    messages().filter(batch=head.batch).update(
        attempts=head.attempts + 1,
        answer=answer[:ANSWER_CHARS_MAX],
        next_try_at=now + back_off(head.attempts, wait_seconds),
        claimed_until=None,
    )
    return True


def prune(now: datetime) -> None:
    """Remove what ended long ago, a part of it; and give up what waits for a receiver that is in the settings
    no more, which nobody tries."""
    too_old = now - timedelta(seconds=GIVE_UP_SECONDS)
    stranded = messages().filter(status=MessageStatus.WAITING, created_at__lt=too_old)
    stranded = stranded.exclude(receiver__in=[*alert_conf().receivers])
    ids = list(stranded.values_list("id", flat=True)[:PRUNED_MAX])
    if ids:
        messages().filter(id__in=ids).update(
            body=None,
            status=MessageStatus.FAILED,
            answer="the receiver is not in RQCRON_ALERTS any more",
            ended_at=now,
        )
    ended = messages().exclude(status=MessageStatus.WAITING).filter(ended_at__lt=now - KEPT)
    ids = list(ended.values_list("id", flat=True)[:PRUNED_MAX])
    if ids:
        messages().filter(id__in=ids).delete()


def _head(receiver: str) -> AlertMessage | None:
    return _waiting(receiver).first()


def _waiting(receiver: str) -> QuerySet[AlertMessage]:
    return messages().filter(status=MessageStatus.WAITING, receiver=receiver).order_by("id")


def _is_free(head: AlertMessage, now: datetime) -> bool:
    return head.next_try_at <= now and (head.claimed_until is None or head.claimed_until < now)


def receiver_rows() -> list[dict[str, Any]]:
    """One for each receiver of the settings, and for others that alerts still wait for."""
    conf = alert_conf()
    status = {item: Q(status=item) for item in MessageStatus}
    counts = (
        messages()
        .order_by()
        .values("receiver")
        .annotate(
            waiting=Count("id", filter=status[MessageStatus.WAITING]),
            sent=Count("id", filter=status[MessageStatus.SENT]),
            failed=Count("id", filter=status[MessageStatus.FAILED]),
            last_sent_at=Max("ended_at", filter=status[MessageStatus.SENT]),
        )
    )
    found = {row["receiver"]: row for row in counts}
    rows = []
    for name in dict.fromkeys([*conf.receivers, *sorted(found)]):
        receiver = conf.receivers.get(name)
        rows.append(
            {
                "receiver": name,
                "kind": receiver.kind if receiver else "not in RQCRON_ALERTS",
                "rules": ", ".join(r.name for r in conf.rules.values() if name in r.receivers),
                **dict.fromkeys(("waiting", "sent", "failed"), 0),
                "last_sent_at": None,
                **found.get(name, {}),
                "last_failure": _last_failure(name),
            }
        )
    return rows


def _last_failure(receiver: str) -> str:
    """Of what waits or was given up."""
    rows = messages().filter(receiver=receiver).exclude(status=MessageStatus.SENT)
    row = rows.exclude(answer="").order_by("-id").first()
    return row.answer if row else ""
