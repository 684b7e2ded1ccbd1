"""What events say of crons, rule by rule. Pure: rows and events come in, and changes go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rqcron_events.core.events import Event, EventType, Reason
from rqcron_events.core.events.keys import COUNT, FIRST, LATENESS_SECONDS
from rqcron_events.core.schedule import zone_or_utc
from rqcron_events.core.wording import duration, shower_in

from ...models import CronJob
from ...report.names import present_name
from ..models import AlertState
from .conf import AlertConf, Kind, Rule
from .state import Told, close, key_of, new_state, open_, tell

__all__ = ["EVENT_TYPES", "Folded", "failing_text", "failures_limit"]


@dataclass(slots=True, kw_only=True)
class Folded:
    """The state of the crons of a page, while its events are folded."""

    conf: AlertConf
    jobs: Mapping[str, CronJob]
    rows: dict[str, AlertState]
    """By key; new ones are added."""
    now: datetime
    told: list[Told] = field(default_factory=list)

    def fold(self, events: Iterable[Event]) -> None:
        for event in events:
            for kind, apply in _FOLDS.get(event.type, ()):
                self._apply(event, kind, apply)

    def _apply(self, event: Event, kind: Kind, apply: Apply) -> None:
        job = self.jobs.get(event.cron)
        called = present_name(job) if job else event.cron
        rule = self.conf.rule_for(kind, called)
        if rule is None:
            return
        assert event.id is not None, "only events that were read from the log are folded"
        key = key_of(rule, event.cron)
        row = self.rows.get(key) or new_state(rule, event.cron)
        if event.id <= row.position:
            return
        before = (row.count, row.is_open)
        apply(row, event, rule, job, called)
        if (row.count, row.is_open) == before:
            return  # a cron that goes on well costs no write
        row.position = event.id
        self.rows[key] = row
        told = tell(row, rule, self.now)
        if told is not None:
            self.told.append(told)


Apply = Callable[[AlertState, Event, Rule, CronJob | None, str], None]


def failures_limit(rule: Rule, job: CronJob | None) -> int:
    """From how many failures in a row on it is told: by the rule, by the cron's ``max_failures``, or one."""
    if rule.threshold is not None:
        return int(rule.threshold)
    allowed = job.definition.get("max_failures") if job else None
    return int(allowed or 0) + 1


def failing_text(called: str, failures: int) -> str:
    if failures == 1:
        return f"{called} is failing: its last run failed."
    return f"{called} is failing: {failures} runs in a row have failed."


def _detail(event: Event, sentence: str) -> dict[str, Any]:
    return {
        "sentence": sentence,
        "slot": event.scheduled_for.isoformat() if event.scheduled_for else None,
        "run_id": str(event.run_id) if event.run_id else None,
        "event": event.id,
    }


def _failed(row: AlertState, event: Event, rule: Rule, job: CronJob | None, called: str) -> None:
    row.count += 1
    if row.count >= failures_limit(rule, job):
        open_(row, event.occurred_at, _detail(event, failing_text(called, row.count)))


def _succeeded(row: AlertState, event: Event, rule: Rule, job: CronJob | None, called: str) -> None:
    after = "a failure" if row.count == 1 else f"{row.count} failures"
    text = f"{called} has recovered: a run succeeded after {after} in a row."
    close(row, event.occurred_at, _detail(event, text.replace("a failure in a row", "a failure")))


def _missed(row: AlertState, event: Event, rule: Rule, job: CronJob | None, called: str) -> None:
    if event.reason == Reason.RETIRED:
        return
    count = int(event.data.get(COUNT, 1))
    row.count += count
    if row.count < (rule.threshold or 1):
        return
    show, first = _shower(job), event.parsed_time(FIRST)
    if count == 1 or first is None:
        text = f"{called} missed its slot of {show(event.scheduled_for)}"
    else:
        text = f"{called} missed {count} slots from {show(first)} to {show(event.scheduled_for)}"
    open_(row, event.occurred_at, _detail(event, f"{text} ({event.reason})."))


def _fired(row: AlertState, event: Event, rule: Rule, job: CronJob | None, called: str) -> None:
    missed = "a missed slot" if row.count == 1 else f"{row.count} missed slots"
    text = f"{called} fires again after {missed}: slot of {_shower(job)(event.scheduled_for)}."
    close(row, event.occurred_at, _detail(event, text))


def _maybe_late(
    row: AlertState, event: Event, rule: Rule, job: CronJob | None, called: str
) -> None:
    seconds = float(event.data.get(LATENESS_SECONDS) or 0)
    bound, at = rule.threshold or 0, _shower(job)(event.scheduled_for)
    if seconds > bound:
        text = f"{called} is late: its slot of {at} fired {duration(seconds)} late"
        open_(row, event.occurred_at, _detail(event, f"{text}; the limit is {duration(bound)}."))
    else:
        text = f"{called} is on time again: its slot of {at} fired {duration(seconds)} late."
        close(row, event.occurred_at, _detail(event, text))


def _retired(row: AlertState, event: Event, rule: Rule, job: CronJob | None, called: str) -> None:
    text = f"{called} was retired: its code is gone, so nothing more is to be expected of it."
    close(row, event.occurred_at, _detail(event, text))


def _shower(job: CronJob | None) -> Callable[[datetime | None], str]:
    return shower_in(zone_or_utc(job.timezone if job else "UTC"))


_FOLDS: dict[EventType, tuple[tuple[Kind, Apply], ...]] = {
    EventType.RUN_FAILED: ((Kind.FAILING, _failed),),
    EventType.RUN_LOST: ((Kind.FAILING, _failed),),
    EventType.RUN_SUCCEEDED: ((Kind.FAILING, _succeeded),),
    EventType.SLOT_MISSED: ((Kind.MISSED, _missed),),
    EventType.SLOT_FIRED: ((Kind.MISSED, _fired), (Kind.LATE, _maybe_late)),
    EventType.CRON_RETIRED: tuple((kind, _retired) for kind in Kind if kind is not Kind.NO_RUNNER),
}
EVENT_TYPES = frozenset(_FOLDS)
