"""What surrounds the crons, in numbers: runners, spool, log. For monitors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max
from redis.exceptions import RedisError

from ..conf import conf
from ..core.events import DECISIONS
from ..execution.enqueuer import Enqueuer
from ..execution.spool import spool_length, spool_refused
from ..leadership.clock_skew import ClockSkew
from ..leadership.lease import Lease
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronEvent, QuarantinedEvent
from .health import MAX_LAG_SECONDS
from .runners import runner_standing

__all__ = [
    "MAX_LAG_SECONDS",
    "LogFigures",
    "RunnerFigures",
    "SpoolFigures",
    "database_now",
    "log_figures",
    "newest_event",
    "runner_figures",
    "slots_decided_after",
    "spool_figures",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerFigures:
    """Does anybody decide? By the same look as ``cron_health``."""

    alive: bool
    leader: str
    """A runner's id, or the command that is called now and then; empty: nobody ever led."""
    leader_seconds: float | None
    """Since its last heartbeat, by the database's clock."""
    runners: int
    """Those with a heartbeat, the leader included."""
    allowed_lag: timedelta
    """How long a slot may be undecided because nobody is called yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFigures:
    """How large the log is, and what in it cannot be read."""

    newest_event: int
    size_bytes: int
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFigures:
    """What waits in one Redis; both None when it does not answer."""

    runs: int | None = None
    refused_entries: int | None = None


def runner_figures() -> RunnerFigures:
    """Raises Django's database errors."""
    standing = runner_standing()
    return RunnerFigures(
        alive=standing.obstacle is None,
        leader=standing.leader,
        leader_seconds=standing.leader_seconds,
        runners=len(Lease("").alive_runners()),
        allowed_lag=standing.allowed_lag,
    )


def log_figures() -> LogFigures:
    """Raises Django's database errors."""
    db = store.connection()
    return LogFigures(
        newest_event=newest_event(),
        size_bytes=backend_of(db).log_bytes(db),
        quarantined=QuarantinedEvent.objects.using(db.alias).count(),
    )


def newest_event() -> int:
    """Its id, or 0. Raises Django's database errors."""
    return store.newest().id


def slots_decided_after(position: int) -> Mapping[str, datetime]:
    """By stored name, the last slot that was decided in events behind a position. Raises Django's
    database errors."""
    rows = CronEvent.objects.using(conf().database).filter(
        id__gt=position, type__in=DECISIONS, scheduled_for__isnull=False
    )
    lasts = rows.order_by().values("cron").annotate(last=Max("scheduled_for"))
    return dict(lasts.values_list("cron", "last"))


def database_now() -> datetime:
    """The time by the database's clock. Raises Django's database errors."""
    return ClockSkew().database_now()


def spool_figures(seconds_max: float) -> dict[str, SpoolFigures]:
    """Of each Redis in RQ_QUEUES that can be used, by its address without a password. Each is given
    ``seconds_max`` for an answer; one that gives none keeps nobody from asking the others."""
    found = {}
    for address, connection in Enqueuer(seconds_max, tries_once=True).servers().items():
        try:
            found[address] = SpoolFigures(
                runs=spool_length([connection]), refused_entries=spool_refused([connection])
            )
        except RedisError:
            found[address] = SpoolFigures()
    return found
