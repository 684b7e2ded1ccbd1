"""The outbox: rows that wait, by monitor and cron, and the claim of the one process that sends them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Min, Q, QuerySet

from rqcron_events import clock
from rqcron_events.ledger import store

from ..models import CheckIn, CheckInKind, CheckInMonitor, MessageStatus
from ..retry import ANSWER_CHARS_MAX, GIVE_UP_SECONDS, KEPT, back_off
from .conf import Monitor
from .lane import WINDOW, plan, thinned

__all__ = [
    "Due",
    "checkins",
    "claim",
    "due",
    "give_up_old",
    "has_due",
    "leave_out",
    "monitor_row",
    "needs_care",
    "prune",
    "put",
    "put_off",
    "put_off_monitor",
    "release",
    "settle",
    "thin",
    "with_due",
]

CLAIM_SECONDS = 60.0
"""How long a process may be silent before another sends: longer than all time-outs of a request."""
CANDIDATES_MAX = 500
"""Rows that are looked at in one go: the oldest that are due."""
LANES_MAX = 64
"""Crons that are sent in one go, one row of each."""
LANE_ROWS_MAX = 20
"""How many rows of a cron wait while its monitor is away, besides those that cannot be left out."""
ROWS_READ_MAX = 5_000
PRUNED_MAX = 5_000
SENT_KEPT = timedelta(minutes=2)
"""Longer than the window in which they count."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be sent of one cron now."""

    row: CheckIn
    begun_at: datetime | None
    """When the run began, if the monitor was told of it."""


def checkins() -> QuerySet[CheckIn]:
    return CheckIn.objects.using(store.connection().alias)


def _monitors() -> QuerySet[CheckInMonitor]:
    return CheckInMonitor.objects.using(store.connection().alias)


def _waiting(monitor: str) -> QuerySet[CheckIn]:
    return checkins().filter(monitor=monitor, status=MessageStatus.WAITING)


def put(rows: Sequence[CheckIn]) -> None:
    """In the transaction that moves the checkpoint."""
    checkins().bulk_create(rows, batch_size=500)


def monitor_row(name: str) -> CheckInMonitor:
    """As it is stored, or new."""
    return _monitors().filter(name=name).first() or CheckInMonitor(name=name)


def with_due() -> list[str]:
    """Monitors that something is due for, whether or not they can be told now."""
    waiting = checkins().filter(status=MessageStatus.WAITING, next_try_at__lte=clock.now())
    return list(waiting.order_by().values_list("monitor", flat=True).distinct())


def has_due(monitor: str) -> bool:
    now = clock.now()
    row = monitor_row(monitor)
    if row.claimed_until is not None and row.claimed_until > now:
        return False
    if row.next_try_at is not None and row.next_try_at > now:
        return False
    return _waiting(monitor).filter(next_try_at__lte=now).exists()


def claim(monitor: str, mine: uuid.UUID) -> bool:
    """Take a monitor, or keep it: False when another process sends to it."""
    now = clock.now()
    free = Q(claim=mine) | Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows = _monitors().filter(free, name=monitor)
    for _ in range(2):
        if rows.update(claim=mine, claimed_until=now + timedelta(seconds=CLAIM_SECONDS)):
            return True
        _monitors().bulk_create([CheckInMonitor(name=monitor)], ignore_conflicts=True)
    return False


def release(monitor: str, mine: uuid.UUID) -> None:
    _monitors().filter(name=monitor, claim=mine).update(claim=None, claimed_until=None)


def due(monitor: Monitor) -> list[Due]:
    """The next row of each cron that something is due of; what a limit leaves out is
    removed, and what it holds up is put off. Only for who has the claim."""
    now = clock.now()
    oldest = _waiting(monitor.name).filter(next_try_at__lte=now).order_by("id")
    crons = list(dict.fromkeys(oldest.values_list("cron", flat=True)[:CANDIDATES_MAX]))[:LANES_MAX]
    if not crons:
        return []
    lanes, sent_at = _lanes(monitor.name, crons), _sent_at(monitor.name, crons, now)
    begun = _begun(monitor.name, [row for rows in lanes.values() for row in rows])
    found, left_out = [], []
    # Those that nobody has answered to come last: they must not keep the others from being tried.
    for cron in sorted(lanes, key=lambda cron: max(row.attempts for row in lanes[cron])):
        held = max(row.next_try_at for row in lanes[cron])
        if held > now:  # nothing overtakes a row that was not taken
            _hold(monitor.name, cron, held)
            continue
        plans = plan(lanes[cron], sent_at[cron], monitor.per_minute, begun, now)
        left_out += plans.left_out
        if plans.next is not None:
            run_id = plans.next.run_id
            found.append(Due(plans.next, begun.get(run_id) if run_id else None))
        elif plans.wait_until is not None:
            _hold(monitor.name, cron, plans.wait_until)
    leave_out(monitor.name, left_out)
    return found


def _lanes(monitor: str, crons: Iterable[str]) -> dict[str, list[CheckIn]]:
    lanes: defaultdict[str, list[CheckIn]] = defaultdict(list)
    for row in _waiting(monitor).filter(cron__in=crons).order_by("id")[:ROWS_READ_MAX]:
        lanes[row.cron].append(row)
    return lanes


def _sent_at(monitor: str, crons: Iterable[str], now: datetime) -> dict[str, list[datetime]]:
    """When check-ins were sent in the last minute."""
    rows = checkins().filter(
        monitor=monitor, status=MessageStatus.SENT, cron__in=crons, ended_at__gt=now - WINDOW
    )
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for cron, ended_at in rows.order_by("ended_at").values_list("cron", "ended_at"):
        if ended_at is not None:
            found[cron].append(ended_at)
    return found


def _begun(monitor: str, rows: Iterable[CheckIn]) -> dict[uuid.UUID, datetime]:
    """Runs of these rows whose begin was told, and when they began."""
    run_ids = {row.run_id for row in rows if row.kind == CheckInKind.END}
    told = checkins().filter(monitor=monitor, is_open=True, run_id__in=run_ids - {None})
    return {run_id: at for run_id, at in told.values_list("run_id", "at") if run_id is not None}


def _hold(monitor: str, cron: str, until: datetime) -> None:
    _waiting(monitor).filter(cron=cron, next_try_at__lt=until).update(next_try_at=until)


def settle(monitor: str, rows: Sequence[CheckIn], answer: str, *, sent: bool = True) -> None:
    """They were sent, or never will be."""
    if not rows:
        return
    now = clock.now()
    begins = [row.id for row in rows if row.kind == CheckInKind.BEGIN]
    with transaction.atomic(using=store.connection().alias):
        checkins().filter(id__in=[row.id for row in rows]).update(
            status=MessageStatus.SENT if sent else MessageStatus.FAILED,
            attempts=F("attempts") + 1,
            answer=answer[:ANSWER_CHARS_MAX],
            ended_at=now,
        )
        if sent and begins:
            checkins().filter(id__in=begins).update(is_open=True)
        _close(monitor, rows)
        if sent:
            _monitors().filter(name=monitor).update(
                sent=F("sent") + len(rows),
                last_sent_at=now,
                attempts=0,
                next_try_at=None,
                silent_since=None,
                answer="",
            )


def leave_out(monitor: str, rows: Sequence[CheckIn]) -> None:
    """They are not told. A begin that was tried may have arrived: its end is told for sure."""
    if not rows:
        return
    tried = [row.id for row in rows if row.kind == CheckInKind.BEGIN and row.attempts]
    with transaction.atomic(using=store.connection().alias):
        checkins().filter(id__in={row.id for row in rows} - set(tried)).delete()
        checkins().filter(id__in=tried).update(
            status=MessageStatus.SENT, is_open=True, ended_at=clock.now()
        )
        _close(monitor, rows)
        _monitors().filter(name=monitor).update(left_out=F("left_out") + len(rows))


def _close(monitor: str, rows: Iterable[CheckIn]) -> None:
    """Of ends: nobody waits any more for those of their runs."""
    run_ids = [row.run_id for row in rows if row.kind == CheckInKind.END]
    if run_ids:
        told = checkins().filter(monitor=monitor, is_open=True, run_id__in=run_ids)
        told.update(is_open=False)


def put_off(row: CheckIn, answer: str, wait_seconds: float) -> None:
    """Try it again later; what waits behind it waits, too."""
    until = clock.now() + back_off(row.attempts, wait_seconds)
    checkins().filter(id=row.id).update(
        attempts=row.attempts + 1, answer=answer[:ANSWER_CHARS_MAX], next_try_at=until
    )
    _hold(row.monitor, row.cron, until)


def put_off_monitor(name: str, tried: Sequence[CheckIn], answer: str, wait_seconds: float) -> bool:
    """Nobody answered: try all of it later. True the first time."""
    now, row = clock.now(), monitor_row(name)
    checkins().filter(id__in=[item.id for item in tried]).update(attempts=F("attempts") + 1)
    _monitors().filter(name=name).update(
        attempts=row.attempts + 1,
        next_try_at=now + back_off(row.attempts, wait_seconds),
        silent_since=row.silent_since or now,
        answer=answer[:ANSWER_CHARS_MAX],
    )
    return row.attempts == 0


def needs_care(monitor: str) -> bool:
    """Whether something waits for so long, or so much of it, that ``give_up_old`` or ``thin`` may find it."""
    found = _waiting(monitor).aggregate(rows=Count("id"), oldest=Min("created_at"))
    if not found["rows"]:
        return False
    before = clock.now() - timedelta(seconds=GIVE_UP_SECONDS)
    return bool(found["rows"] > LANE_ROWS_MAX or found["oldest"] < before)


def give_up_old(monitor: str) -> list[CheckIn]:
    """What nobody took for days."""
    before = clock.now() - timedelta(seconds=GIVE_UP_SECONDS)
    rows = list(_waiting(monitor).filter(created_at__lt=before).order_by("id")[:PRUNED_MAX])
    why = monitor_row(monitor).answer or "not taken for three days"
    for row in rows:
        settle(monitor, [row], row.answer or why, sent=False)
    return rows


def thin(monitor: Monitor) -> None:
    """While it is away, of each cron only so much waits. Only for who has the claim."""
    long = _waiting(monitor.name).order_by().values("cron").annotate(rows=Count("id"))
    crons = [row["cron"] for row in long.filter(rows__gt=LANE_ROWS_MAX)[:LANES_MAX]]
    lanes = _lanes(monitor.name, crons)
    begun = _begun(monitor.name, [row for rows in lanes.values() for row in rows])
    for rows in lanes.values():
        kept = {row.id for row in thinned(rows, begun)}
        leave_out(monitor.name, [row for row in rows if row.id not in kept])


def prune(now: datetime, names: Iterable[str]) -> None:
    """Remove what ended, a part of it; and what waits for monitors that are not in the settings."""
    sent = Q(status=MessageStatus.SENT, ended_at__lt=now - SENT_KEPT, is_open=False)
    failed = Q(status=MessageStatus.FAILED, ended_at__lt=now - KEPT)
    left = Q(is_open=True, ended_at__lt=now - KEPT)
    unknown = ~Q(monitor__in=list(names)) & Q(
        created_at__lt=now - timedelta(seconds=GIVE_UP_SECONDS)
    )
    ended = checkins().filter(sent | failed | left | unknown)
    if ids := list(ended.values_list("id", flat=True)[:PRUNED_MAX]):
        checkins().filter(id__in=ids).delete()
