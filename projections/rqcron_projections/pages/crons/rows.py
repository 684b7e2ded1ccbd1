"""One row: a cron, its newest slots, and why it is as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from rqcron_events.core.definition import Definition
from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.wording import Show, clause, pause_words, schedule_words, shower_in

from ...folds.cron_status import DISABLED, FAILING, PAUSED, RETIRED, as_of, next_slot
from ...models import CronJob
from ...report.names import present_name, renamed_from
from ..drawing.marks import Fate
from ..frame.frame import Frame
from ..slots.entries import Entry
from ..slots.recent import recent_entries
from ..slots.schedule_words import schedule_in_words
from .figures import DayFigures, figures_of

__all__ = ["OVERDUE", "CronRow", "rows_of"]

OVERDUE = timedelta(seconds=30)
"""As ``cron_health`` has it: a slot may be due and undecided for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronRow:
    job: CronJob
    name: str
    """What the code calls it now."""
    renamed_from: str
    group: str
    """The heading that it stands under; empty: nothing is grouped."""
    in_words: str
    written: str
    """The schedule as the code has it, and what ``H`` stands for."""
    entries: Sequence[Entry]
    figures: DayFigures
    why: str
    """The newest reason, in one sentence; empty where all is well."""
    why_at: datetime | None
    """The slot that it is about, if it is about one."""
    is_bad: bool
    """Whether that is something to mend, and not what people wanted."""


def rows_of(
    jobs: Sequence[CronJob], frame: Frame, pause: Pause | None, group: str = ""
) -> list[CronRow]:
    """``pause``: of everything, if one is in force. A constant number of queries."""
    jobs = [as_of(job, frame.now) for job in jobs]
    recent = recent_entries(jobs, frame.now, messages=frame.sees_runs)
    figures = figures_of([job.name for job in jobs], frame.now.date())
    return [_row(job, frame, pause, group, recent, figures) for job in jobs]


def _row(
    job: CronJob,
    frame: Frame,
    pause: Pause | None,
    group: str,
    recent: Mapping[str, Sequence[Entry]],
    figures: Mapping[str, DayFigures],
) -> CronRow:
    if pause is not None and job.status not in (PAUSED, DISABLED, RETIRED):
        job.status, job.paused_at, job.paused_until = PAUSED, pause.since, pause.until
        job.paused_by, job.pause_reason = pause.actor, pause.reason
        job.next_slot = next_slot(job)
    definition, unreadable = _definition(job)
    why = _why(job, recent[job.name], frame, unreadable)
    return CronRow(
        job=job,
        name=present_name(job),
        renamed_from=renamed_from(job),
        group=_group(job, group),
        in_words=schedule_in_words(definition) if definition else "",
        written=schedule_words(definition) if definition else job.schedule,
        entries=recent[job.name],
        figures=figures[job.name],
        why=why.text,
        why_at=why.at,
        is_bad=why.is_bad,
    )


def _definition(job: CronJob) -> tuple[Definition | None, str]:
    """With why it cannot be read, or why it has no schedule here."""
    try:
        definition = Definition.from_data(job.definition)
    except (ValueError, TypeError, KeyError) as error:
        return None, clause(error)
    try:
        _ = definition.schedule
    except ValueError as error:
        return definition, clause(error)
    return definition, ""


def _group(job: CronJob, by: str) -> str:
    match by:
        case "status":
            return job.status
        case "queue":
            return f"queue {job.queue}"
        case "code":
            return job.function.partition(":")[0]
        case _:
            return ""


class _Why(NamedTuple):
    text: str
    is_bad: bool = False
    at: datetime | None = None


def _why(job: CronJob, entries: Sequence[Entry], frame: Frame, unreadable: str) -> _Why:
    if job.status == RETIRED:
        return _Why("Removed from the code.")
    if unreadable:
        text = f"Its definition cannot be read, so no slot is decided: {unreadable}."
        return _Why(text, is_bad=True)
    if job.status == DISABLED:
        return _Why(f"Disabled by {job.definition.get('disabled')}.")
    if job.status == PAUSED:
        return _Why(_paused(job, shower_in(frame.zones.of(job.timezone))))
    if job.status == FAILING:
        failed = next((item for item in reversed(entries) if item.fate is Fate.FAILED), None)
        if failed is None:
            return _Why(f"{job.consecutive_failures} runs failed in a row.", is_bad=True)
        return _Why(failed.headline, is_bad=True, at=failed.last)
    newest = entries[-1] if entries else None
    if newest is not None and newest.fate is Fate.PENDING and newest.run_id is None:
        if newest.first + OVERDUE < frame.now:
            return _Why("due, and not decided", is_bad=True, at=newest.first)
        newest = entries[-2] if len(entries) > 1 else None
    if newest is None or newest.fate is Fate.ON_TIME:
        return _Why("")
    mild = newest.fate in (Fate.RUNNING, Fate.LATE)
    return _Why(newest.headline, is_bad=not mild, at=newest.last)


def _paused(job: CronJob, show: Show) -> str:
    if job.paused_at is None:
        return ""
    pause = Pause(
        since=job.paused_at, until=job.paused_until, reason=job.pause_reason, actor=job.paused_by
    )
    words = pause_words(pause, show)
    return f"{words[0].upper()}{words[1:]}."
