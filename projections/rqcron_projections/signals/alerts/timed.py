"""What no event tells: that a run takes too long, that no success came, that nobody decides."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q

from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.schedule import zone_or_utc
from rqcron_events.core.wording import duration, shower_in
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import global_pauses, state_of
from rqcron_events.queries.results import counts_from
from rqcron_events.queries.runners import Standing, runner_standing

from ...models import CronJob, CronRun, CronStatus
from ...report.names import present_name
from ..jobs import jobs_of
from ..models import AlertState
from .conf import AlertConf, Kind, Rule
from .state import key_of

__all__ = ["OVER", "Found", "look", "look_at_runners"]

RUNS_MAX = 1_000
CRONS_ASKED_MAX = 500
"""Of one look: the others wait for the next."""
OVER = {
    Kind.RUNNING: "The run of {0} that took too long has ended.",
    Kind.NO_SUCCESS: "{0} is within its limit again, or is not waited for any more.",
}
"""The kinds that ``look`` is about, and what is told when it finds them no more."""
_SILENT = (CronStatus.PAUSED, CronStatus.DISABLED, CronStatus.RETIRED)


class Found(NamedTuple):
    """A rule applies to a cron now."""

    rule: Rule
    cron: str
    at: datetime
    """Since when."""
    detail: dict[str, Any]

    @property
    def key(self) -> str:
        return key_of(self.rule, self.cron)


def look(conf: AlertConf, now: datetime, known: Collection[str] = ()) -> list[Found]:
    """By the projections, as far as they have read the log.

    ``known``: keys of what is open already.
    """
    found = _too_long(conf, now) if conf.of_kind(Kind.RUNNING) else []
    if conf.of_kind(Kind.NO_SUCCESS):
        found += _without_success(conf, now, known)
    return found


def look_at_runners(conf: AlertConf, now: datetime, row: AlertState | None) -> Found | None:
    """Whether nobody decides, and since when; the caller compares that with the rule.

    ``row``: what the rule knows. Where nobody can say since when, it is since the first look.
    """
    rule = conf.rule_for(Kind.NO_RUNNER)
    standing = runner_standing() if rule else Standing()
    if rule is None or standing.obstacle is None:
        return None
    since = standing.obstacle.since or now
    if row is not None and row.detail.get("absent_since"):
        since = min(since, datetime.fromisoformat(row.detail["absent_since"]))
    return Found(
        rule,
        "",
        since,
        {"sentence": standing.obstacle.sentence, "absent_since": since.isoformat()},
    )


def _too_long(conf: AlertConf, now: datetime) -> list[Found]:
    shortest = min(rule.threshold or 0 for rule in conf.of_kind(Kind.RUNNING))
    runs = CronRun.objects.using(store.connection().alias).filter(
        status=RunStatus.RUNNING, started_at__lt=now - timedelta(seconds=shortest)
    )
    first: dict[str, CronRun] = {}
    for run in runs.order_by("started_at")[:RUNS_MAX]:
        first.setdefault(run.cron, run)
    jobs = jobs_of(first)
    found = []
    for cron, run in first.items():
        job = jobs.get(cron)
        called = present_name(job) if job else cron
        rule = conf.rule_for(Kind.RUNNING, called)
        assert run.started_at is not None
        seconds = (now - run.started_at).total_seconds()
        if rule is None or seconds <= (rule.threshold or 0):
            continue
        text = (
            f"{called} is still running after {duration(seconds)}: run {str(run.run_id)[:8]}; "
            f"the limit is {duration(rule.threshold or 0)}."
        )
        found.append(Found(rule, cron, now, _detail(called, text, run.slot, str(run.run_id))))
    return found


def _without_success(conf: AlertConf, now: datetime, known: Collection[str]) -> list[Found]:
    """Of crons that are to run: time that was paused or disabled does not count."""
    found: list[Found] = []
    told: list[tuple[CronJob, Rule, float]] = []
    new: list[tuple[CronJob, Rule, float]] = []
    for job in _old_successes(conf, now):
        rule = conf.rule_for(Kind.NO_SUCCESS, present_name(job))
        limit = _limit(rule, job)
        if rule is not None and limit:
            (told if key_of(rule, job.name) in known else new).append((job, rule, limit))
    if len(new) > CRONS_ASKED_MAX:
        # By chance: always in one order, those that only decline would leave no turn to the others.
        new = random.sample(new, CRONS_ASKED_MAX)
    pauses = global_pauses()
    for job, rule, limit in sorted(told + new, key=lambda item: item[0].name):
        since = job.last_success_at or job.registered_at
        if key_of(rule, job.name) not in known:
            counted = counts_from(state_of(job.name), pauses, job.last_success_at, now)
            if counted is None or (now - counted).total_seconds() <= limit:
                continue
            since = counted
        if not _declined(job, now - timedelta(seconds=limit)):
            text = _no_success_text(job, now - since, limit)
            found.append(
                Found(rule, job.name, now, _detail(present_name(job), text, job.last_slot, None))
            )
    return found


def _limit(rule: Rule | None, job: CronJob) -> float:
    """Seconds: by the rule, or by the cron's ``max_age``; 0: none."""
    if rule is not None and rule.threshold is not None:
        return rule.threshold
    return float(job.definition.get("max_age_seconds") or 0)


def _old_successes(conf: AlertConf, now: datetime) -> Iterator[CronJob]:
    """Crons that may be too old: of all, those alone are looked at one by one."""
    limits = [rule.threshold for rule in conf.of_kind(Kind.NO_SUCCESS)]
    wanted = Q(definition__max_age_seconds__gt=0) if None in limits else Q(pk__in=())
    shortest = min((limit for limit in limits if limit is not None), default=None)
    if shortest is not None:
        before = now - timedelta(seconds=shortest)
        wanted |= Q(last_success_at__lt=before)
        wanted |= Q(last_success_at=None, registered_at__lt=before)
    jobs = CronJob.objects.using(store.connection().alias).exclude(status__in=_SILENT)
    for job in jobs.filter(wanted).order_by("name"):
        since, limit = job.last_success_at or job.registered_at, shortest
        if limit is None:
            limit = float(job.definition["max_age_seconds"])
        if (now - since).total_seconds() > limit:
            yield job


def _no_success_text(job: CronJob, age: timedelta, limit: float) -> str:
    called, show = present_name(job), shower_in(zone_or_utc(job.timezone))
    last = f"its last success was at {show(job.last_success_at)}"
    if job.last_success_at is None:
        last = "it never has"
    return (
        f"{called} has not succeeded for {duration(age.total_seconds())}: {last}; "
        f"the limit is {duration(limit)}."
    )


def _declined(job: CronJob, since: datetime) -> bool:
    """A run that found nothing to do is as good as a success."""
    runs = CronRun.objects.using(store.connection().alias).filter(cron=job.name)
    return runs.filter(status=RunStatus.DECLINED, finished_at__gt=since).exists()


def _detail(called: str, text: str, slot: datetime | None, run_id: str | None) -> dict[str, Any]:
    return {
        "called": called,
        "sentence": text,
        "slot": slot.isoformat() if slot else None,
        "run_id": run_id,
    }
