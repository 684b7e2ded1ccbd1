"""An explanation as the pages of slots and runs show it."""

from __future__ import annotations

import io
from typing import Any

from rqcron_events.cli.render import tell
from rqcron_events.cli.terminal import Terminal
from rqcron_events.core.explain.explanation import Explanation, Verdict
from rqcron_events.core.explain.run import RunSummary
from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.wording import schedule_words
from rqcron_events.ledger.quarantine import problem_texts, quarantined

from ..drawing.marks import Fate
from ..frame.frame import Frame
from ..frame.links import django_rq_queue_url
from ..frame.permissions import may_view
from ..slots.entries import LATE_SECONDS
from .attempts import attempts, result_of
from .chain import chain
from .event_line import event_lines

__all__ = ["as_text", "fate_of", "sees", "told"]


_FAILED = frozenset(
    {RunStatus.FAILED, RunStatus.LOST, RunStatus.STOPPED, RunStatus.CANCELLED},
)
_OPEN = frozenset({RunStatus.RUNNING, RunStatus.RETRYING})


def told(frame: Frame, answer: Explanation, stored_name: str) -> dict[str, Any]:
    """What ``rqcron/story/*.html`` need. Details that need further permissions are left out without
    them: evidence that of the log, attempts and results that of runs. ``answer`` was asked for without texts
    then (``frame.sees_runs``)."""
    timezone = answer.definition.timezone if answer.definition else ""
    run, events = answer.run, list(answer.events)
    own = [event for event in events if run is not None and event.run_id == run.id]
    queue = run.queue if run else ""
    sees_runs, sees_events = sees(frame)
    return {
        "answer": answer,
        "cron": stored_name,
        "called": answer.cron,
        "zone": timezone,
        "fate": fate_of(answer),
        "verdict": _verdict_words(answer),
        "is_past": answer.slot is not None and answer.slot < frame.now,
        "schedule": schedule_words(answer.definition) if answer.definition else "",
        "chain": chain(answer.steps, frame.now),
        "attempts": attempts(own) if sees_runs else [],
        "result": result_of(own) if sees_runs else None,
        "job_id": f"cron-{run.id}" if run else "",
        "job_url": django_rq_queue_url(queue, "django_rq_job_detail", f"cron-{run.id}")
        if run
        else "",
        "queue_url": django_rq_queue_url(queue),
        "workers_url": django_rq_queue_url(queue, "django_rq_workers"),
        "evidence": event_lines(frame, events) if sees_events else [],
        "as_text": as_text(answer) if sees_events and sees_runs else "",
        "sees_runs": sees_runs,
        "sees_events": sees_events,
        "unreadable": problem_texts(quarantined(cron=stored_name)),
    }


def sees(frame: Frame) -> tuple[bool, bool]:
    """Whether the viewer may see runs, and events."""
    return frame.sees_runs, may_view(frame.request.user, "rqcron_events.view_cronevent")


def fate_of(answer: Explanation) -> Fate | None:
    """The mark of the slot; None for what is no slot."""
    match answer.verdict:
        case Verdict.SKIPPED:
            return Fate.SKIPPED
        case Verdict.MISSED:
            return Fate.MISSED
        case Verdict.PENDING:
            return Fate.UNACCOUNTED if answer.reason == "unaccounted" else Fate.PENDING
        case Verdict.FIRED if answer.run is not None:
            return _fate_of_run(answer, answer.run)
        case _:
            return None


def _fate_of_run(answer: Explanation, run: RunSummary) -> Fate:
    if run.status in _FAILED:
        return Fate.FAILED
    if run.status in _OPEN:
        return Fate.RUNNING
    return Fate.LATE if (answer.lateness_seconds or 0) >= LATE_SECONDS else Fate.ON_TIME


def _verdict_words(answer: Explanation) -> str:
    if answer.verdict is Verdict.FIRED and answer.run is not None:
        return f"{'fired' if answer.run.trigger == 'slot' else answer.run.trigger}, {answer.run.status}"
    return answer.verdict.value.replace("_", " ")


def as_text(answer: Explanation) -> str:
    """What ``cron_explain`` prints."""
    out = io.StringIO()
    if answer.verdict is Verdict.UNKNOWN_CRON:
        return answer.summary
    tell(answer, Terminal(out))
    return out.getvalue()
