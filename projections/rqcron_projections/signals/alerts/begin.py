"""Where the alerts begin to read the log, and what they know by then."""

from __future__ import annotations

import logging
import zlib
from datetime import datetime

from django.db import transaction

from rqcron_events import clock
from rqcron_events.ledger import store

from ...folds import crons
from ...models import Checkpoint, CronJob
from ...projector import checkpoints, history_is_lost
from ...report.names import present_name
from ..position import lock_projections, save_new
from . import outbox
from .conf import AlertConf, Kind
from .fold import failing_text, failures_limit
from .state import close, key_of, new_state, open_, tell_all
from .stored import Rows, all_states

__all__ = ["NAME", "begin", "version_of"]

log = logging.getLogger(__name__)

NAME = "alerts"
"""Of the checkpoint."""


def version_of(conf: AlertConf) -> int:
    """Of the rules: when they change, the state of each cron is looked at anew."""
    return zlib.crc32(repr(sorted(conf.rules.items())).encode()) & 0x7FFFFFFF


def begin(conf: AlertConf, point: Checkpoint | None, *, starts_over: bool = False) -> bool:
    """For the first time, after the log went back, where what comes next is archived, and where the rules have
    changed: by the rows of the crons, which are of one position in the log. What was told stays told.
    ``starts_over``: the log cannot be read from there.

    False when the projections have to get on first.
    """
    checkpoints([crons.PROJECTION])  # there is one from now on
    now = clock.now()
    with transaction.atomic(using=store.connection().alias):
        base = lock_projections()
        if base is None:
            return False
        starts_over = starts_over or point is None or history_is_lost(point)
        position = base.position if point is None or starts_over else point.position
        if not save_new(NAME, version_of(conf), position, now, point):
            return False  # another process has begun
        if starts_over:
            all_states().update(position=0)  # the ids may be handed out again
        all_states().exclude(rule__in=list(conf.rules)).delete()
        rows = _by_jobs(conf, base.position, now, starts_over=starts_over)
        told = tell_all(rows.values(), conf, now)
        rows.save()
        outbox.put(told, now)
    log.info(
        "Alerts read the log from event %d on.",
        position,
        extra={"action": "alerts_begin", "position": position},
    )
    return True


def _by_jobs(conf: AlertConf, position: int, now: datetime, *, starts_over: bool) -> Rows:
    """Of the rules about failures. The others begin with the next decision."""
    rules = {rule.name for rule in conf.of_kind(Kind.FAILING)}
    rows = Rows(all_states().filter(rule__in=rules))
    known = set(rows)
    for job in CronJob.objects.using(store.connection().alias).iterator():
        called, failures = present_name(job), job.consecutive_failures
        rule = conf.rule_for(Kind.FAILING, called)
        key = key_of(rule, job.name) if rule else ""
        if rule is None or not (failures or key in known):
            continue
        row = rows.setdefault(key, new_state(rule, job.name))
        goes_on = key in known and not starts_over
        if goes_on:
            if row.is_open or row.count < failures_limit(rule, job):
                continue
            failures = row.count  # by a stricter rule of the same name, that is enough
        run_id = str(job.last_run_id) if job.last_run_id else None
        detail = {"slot": None, "run_id": run_id, "sentence": failing_text(called, failures)}
        if failures >= failures_limit(rule, job):
            open_(row, job.last_failure_at or now, detail)
        else:
            sentence = f"{called} is no longer failing."
            close(row, job.last_success_at or now, {**detail, "sentence": sentence})
        if not goes_on:
            row.position, row.count = position, failures
    return rows
