"""What keeps monitors from hearing of runs, for ``cron_health`` and ``cron_signal``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Count, Min, Q

from rqcron_events import clock
from rqcron_events.core.wording import shower
from rqcron_events.ledger import store

from ...models import CronJob, CronStatus
from ...report.names import present_name
from ..models import CheckInMonitor, MessageStatus
from .conf import Monitor, monitors
from .outbox import checkins
from .schedule import leaves_out

__all__ = ["monitor_rows", "problems", "remarks"]

ATTEMPTS_TOLD = 3
"""From how many tries on it is a problem that a monitor does not take check-ins."""
FAILED_TOLD = timedelta(days=1)
NAMES_TOLD_MAX = 5


def problems() -> list[str]:
    """Monitors that are not told, one sentence for each."""
    return [*_silent(), *_not_taking(), *_given_up()]


def _silent() -> Iterator[str]:
    rows = CheckInMonitor.objects.using(store.connection().alias)
    for row in rows.filter(attempts__gte=ATTEMPTS_TOLD, name__in=monitors()).order_by("name"):
        since = shower(None)(row.silent_since)
        yield f"Monitor {row.name!r} has taken no check-in since {since}: {row.answer}."


def _not_taking() -> Iterator[str]:
    late = checkins().filter(status=MessageStatus.WAITING, attempts__gte=ATTEMPTS_TOLD)
    grouped = late.exclude(answer="").order_by("monitor").values_list("monitor")
    for monitor, since, count in grouped.annotate(Min("created_at"), Count("id")):
        row = late.filter(monitor=monitor).exclude(answer="").order_by("id").first()
        answer = row.answer if row else ""
        yield (
            f"Monitor {monitor!r} has not taken check-ins of {count} cron{'s' * (count != 1)} "
            f"since {shower(None)(since)}: {answer}."
        )


def _given_up() -> Iterator[str]:
    failed = checkins().filter(status=MessageStatus.FAILED, ended_at__gt=clock.now() - FAILED_TOLD)
    grouped = failed.order_by("monitor").values_list("monitor")
    for monitor, count in grouped.annotate(Count("id")):
        yield (
            f"Monitor {monitor!r} was not told of {count} run{'s' * (count != 1)} within a day; "
            "see cron_signal."
        )


def remarks(monitor: Monitor) -> list[str]:
    """What a monitor does not hear of, or cannot tell apart; one sentence for each."""
    jobs = CronJob.objects.using(store.connection().alias).exclude(status=CronStatus.RETIRED)
    by_check: defaultdict[str, list[str]] = defaultdict(list)
    left_out = []
    for job in jobs.order_by("name"):
        called = present_name(job)
        check = monitor.check_of(called)
        if check is None:
            continue
        if leaves_out(monitor.kind, job):
            left_out.append(called)
        else:
            by_check[check].append(called)
    found = [
        f"Crons {_names(names)} have one check, {check!r}. Give each its own in 'checks'."
        for check, names in by_check.items()
        if len(names) > 1
    ]
    if left_out:
        found.append(
            f"{_names(left_out)}: left out, because Sentry takes no crons that run more often than "
            "once a minute."
        )
    return found


def _names(names: list[str]) -> str:
    more = len(names) - NAMES_TOLD_MAX
    return ", ".join(names[:NAMES_TOLD_MAX]) + (f" and {more} more" if more > 0 else "")


def monitor_rows() -> list[dict[str, Any]]:
    """One for each monitor of the settings, and for others that check-ins still wait for."""
    stored = CheckInMonitor.objects.using(store.connection().alias)
    kept = {row.name: row for row in stored.all()}
    counts = checkins().order_by().values("monitor")
    counted = counts.annotate(
        waiting=Count("id", filter=Q(status=MessageStatus.WAITING)),
        failed=Count("id", filter=Q(status=MessageStatus.FAILED)),
    )
    found: dict[str, dict[str, Any]] = {row["monitor"]: dict(row) for row in counted}
    waited_for = [name for name, row in sorted(found.items()) if row["waiting"]]
    rows = []
    for name in dict.fromkeys([*monitors(), *waited_for]):
        monitor, row = monitors().get(name), kept.get(name) or CheckInMonitor(name=name)
        rows.append(
            {
                "receiver": name,
                "kind": monitor.kind if monitor else "not in RQCRON_CHECKINS",
                "rules": "check-ins",
                "waiting": found.get(name, {}).get("waiting", 0),
                "sent": row.sent,
                "last_sent_at": row.last_sent_at,
                "failed": found.get(name, {}).get("failed", 0),
                "left_out": row.left_out,
                "last_failure": row.answer or _last_failure(name),
                "remarks": remarks(monitor) if monitor else [],
            }
        )
    return rows


def _last_failure(monitor: str) -> str:
    """Of what waits or was given up."""
    rows = checkins().filter(monitor=monitor).exclude(status=MessageStatus.SENT)
    row = rows.exclude(answer="").order_by("-id").first()
    return row.answer if row else ""
