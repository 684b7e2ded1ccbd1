"""Follows the log: changes of state, what has to be told of them, and the position, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from rqcron_events import clock
from rqcron_events.errors import LogWentBack, PositionArchived
from rqcron_events.ledger import store

from ...projector import history_is_lost
from ..jobs import jobs_of
from ..models import AlertState
from ..position import checkpoint, lock, move, position_of
from . import outbox
from .begin import NAME, begin, version_of
from .conf import AlertConf, Kind, alert_conf
from .courier import wake
from .fold import EVENT_TYPES, Folded
from .state import close, key_of, new_state, open_, tell_all
from .stored import Rows, runner_row, states_of
from .timed import OVER, Found, look, look_at_runners

__all__ = ["follow", "look_at_time", "position", "watch_runners"]

PAGE_EVENTS_MAX = 2_000
LOOK_SECONDS = 5.0
"""How often ``follow`` looks at what no event tells."""

_looked_at: list[datetime] = []
"""When this process looked last."""


def follow() -> int:
    """Read a page of the log, look at the time now and then, and wake the courier; returns the number of
    events. Several processes may call it: a page counts for the one who moves the checkpoint.

    Raises CronConfigError, and Django's database errors.
    """
    conf = alert_conf()
    read, now = _read(conf), clock.now()
    if not _looked_at or not 0 <= (now - _looked_at[-1]).total_seconds() < LOOK_SECONDS:
        _looked_at[:] = [now]
        look_at_time(conf, now)
    wake()
    return read


def position() -> int:
    """The id of the last event that was read; before the first call, that of the projections."""
    return position_of(NAME)


def _read(conf: AlertConf) -> int:
    point = checkpoint(NAME)
    if point is None or point.version != version_of(conf) or history_is_lost(point):
        return int(begin(conf, point))
    try:
        page = store.tail(point.position, PAGE_EVENTS_MAX, texts=False)
    except (LogWentBack, PositionArchived):  # what is so old is history
        return int(begin(conf, point, starts_over=True))
    if page.position == point.position:
        return 0
    wanted = [event for event in page.events if event.type in EVENT_TYPES and event.cron]
    names, now = {event.cron for event in wanted}, clock.now()
    with transaction.atomic(using=store.connection().alias):
        if not move(point, page.position, page.events, now):
            return 0  # another process has read it
        rows = Rows(states_of(names).values())
        folded = Folded(conf=conf, jobs=jobs_of(names), rows=rows, now=now)
        folded.fold(wanted)
        rows.save()
        outbox.put(folded.told, now)
    return len(page.events)


def look_at_time(conf: AlertConf, now: datetime) -> None:
    """What no event tells; what waits for the end of a quiet time; and what the settings left behind."""
    found = {item.key: item for item in look(conf, now, Rows.open_or_told().keys())}
    runners = look_at_runners(conf, now, runner_row(conf))
    with transaction.atomic(using=store.connection().alias):
        if not lock(NAME, now):
            return
        rows = Rows.open_or_told()
        rows.leave_out_of_force(conf)
        _set(rows, found, conf, now)
        _set_runners(rows, runners, conf, now)
        _tell(rows, conf, now)
    outbox.prune(now)


def watch_runners(conf: AlertConf, now: datetime) -> None:
    """The rule about runners alone: for whoever is left when there is none."""
    known = runner_row(conf)
    found = look_at_runners(conf, now, known)
    if found is None and (known is None or not (known.is_open or known.is_told)):
        return
    if checkpoint(NAME) is None and not begin(conf, None):
        return
    with transaction.atomic(using=store.connection().alias):
        lock(NAME, now)
        rows = Rows([])
        _set_runners(rows, found, conf, now)
        _tell(rows, conf, now)


def _tell(rows: Rows, conf: AlertConf, now: datetime) -> None:
    told = tell_all(rows.values(), conf, now)
    rows.save()
    outbox.put(told, now)


def _set(rows: Rows, found: Mapping[str, Found], conf: AlertConf, now: datetime) -> None:
    rows.load(found)
    for key, item in found.items():
        row = rows.setdefault(key, new_state(item.rule, item.cron))
        open_(row, item.at, item.detail)
    for key, row in rows.items():
        kind = conf.rules[row.rule].kind
        if kind in OVER and row.is_open and key not in found:
            called = row.detail.get("called") or row.cron
            close(row, now, {**row.detail, "sentence": OVER[kind].format(called)})


def _set_runners(rows: Rows, found: Found | None, conf: AlertConf, now: datetime) -> None:
    """Since when nobody decides is remembered from the first look on."""
    rule = conf.rule_for(Kind.NO_RUNNER)
    if rule is None:
        return
    key = key_of(rule, "")
    rows.load([key])
    row: AlertState = rows.setdefault(key, new_state(rule, ""))
    if found is None:
        row.detail = {} if not row.is_open else row.detail
        close(row, now, {"sentence": "A runner decides again."})
    elif now - found.at >= timedelta(seconds=rule.threshold or 0):
        open_(row, found.at, found.detail)
    elif not row.is_open:
        row.detail = found.detail
