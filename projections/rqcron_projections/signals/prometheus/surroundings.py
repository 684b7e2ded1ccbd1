"""What is no cron: runners, Redis, the log and who follows it."""

from __future__ import annotations

from django.db.models import Count, Min

from rqcron_events.conf import conf
from rqcron_events.ledger import store
from rqcron_events.queries.figures import (
    RunnerFigures,
    log_figures,
    newest_event,
    runner_figures,
    spool_figures,
)

from ...models import Checkpoint
from ...projector import PROJECTIONS
from ..models import AlertMessage, CheckIn, MessageStatus
from .exposition import Exposition, label

__all__ = ["tell_log", "tell_projections", "tell_runners", "tell_signals", "tell_spool"]

REDIS_SECONDS_MAX = 1.0


def tell_runners(out: Exposition) -> RunnerFigures:
    """Raises Django's database errors."""
    found = runner_figures()
    out.add("rqcron_runner_alive", int(found.alive))
    out.add("rqcron_runners", found.runners)
    if found.leader:
        out.add("rqcron_runner_leading", int(found.alive), label("runner", found.leader))
    if found.leader_seconds is not None:
        out.add("rqcron_runner_heartbeat_age_seconds", found.leader_seconds)
    return found


def tell_projections(out: Exposition) -> None:
    """Raises Django's database errors."""
    rows = Checkpoint.objects.using(store.connection().alias)
    points = {
        name: (at, version) for name, at, version in rows.values_list("name", "position", "version")
    }
    head = newest_event()
    for projection in PROJECTIONS:
        position, version = points.get(projection.name, (0, projection.version))
        own = label("projection", projection.name)
        out.add("rqcron_projection_lag_events", max(head - position, 0), own)
        out.add("rqcron_projection_outdated", int(version != projection.version), own)


def tell_signals(out: Exposition) -> None:
    """Raises Django's database errors."""
    receivers = conf().alerts.get("receivers", {})
    for signal, model, field, known in (
        ("alerts", AlertMessage, "receiver", receivers if isinstance(receivers, dict) else {}),
        ("checkins", CheckIn, "monitor", conf().checkins),
    ):
        rows = model._default_manager.using(store.connection().alias)
        waiting = rows.filter(status=MessageStatus.WAITING).order_by().values_list(field)
        found = {to: rest for to, *rest in waiting.annotate(Count("id"), Min("created_at"))}
        for to in dict.fromkeys([*map(str, known), *sorted(found)]):
            labels = f"{label('signal', signal)},{label('to', to)}"
            count, since = found.get(to, (0, None))
            out.add("rqcron_signals_waiting", count, labels)
            if since is not None:
                out.add("rqcron_signals_oldest_timestamp_seconds", since.timestamp(), labels)


def tell_log(out: Exposition) -> None:
    """Raises Django's database errors."""
    found = log_figures()
    out.add("rqcron_log_newest_event", found.newest_event)
    out.add("rqcron_log_size_bytes", found.size_bytes)
    out.add("rqcron_quarantined_events", found.quarantined)


def tell_spool(out: Exposition) -> None:
    for address, found in spool_figures(REDIS_SECONDS_MAX).items():
        own = label("redis", address)
        out.add("rqcron_redis_up", int(found.runs is not None), own)
        if found.runs is not None:
            out.add("rqcron_spool_runs", found.runs, own)
        if found.refused_entries is not None:
            out.add("rqcron_spool_refused_entries", found.refused_entries, own)
