"""What ``explain`` says of a run: how it stands, what was asked for, which starts were refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import assert_never

from ..events import Event, EventType, keys
from ..run_state import RunStatus
from ..wording import Show, because, clause, duration
from .run import RunSummary

__all__ = ["arguments", "refused_starts", "run_clause", "to_begin"]

ARGUMENTS_CHARACTERS_MAX = 200
"""Of a sentence; the event has all of them."""


def to_begin(run: RunSummary, show: Show) -> str:
    return f", to begin at {show(run.not_before)}" if run.not_before else ""


def arguments(request: Event) -> str:
    """Of this run alone."""
    given = [
        f"{key} {json.dumps(request.data[key], ensure_ascii=False)}"
        for key in (keys.ARGS, keys.KWARGS)
        if request.data.get(key) is not None
    ]
    text = f", with {' and '.join(given)}" if given else ""
    return (
        text if len(text) <= ARGUMENTS_CHARACTERS_MAX else f"{text[:ARGUMENTS_CHARACTERS_MAX]}..."
    )


def run_clause(run: RunSummary, show: Show) -> str:
    """How a run stands."""
    took = f" in {duration(run.duration_seconds)}" if run.duration_seconds is not None else ""
    tries = f" after {run.attempts} attempts" if run.attempts > 1 else ""
    match run.status:
        case RunStatus.REQUESTED if run.refused_at is not None:
            return f"its run is waiting: RQ has refused its job since {show(run.refused_at)}{_error(run)}"
        case RunStatus.REQUESTED if run.not_before is not None:
            return f"its run is to begin at {show(run.not_before)}, and is not put into Redis before that"
        case RunStatus.REQUESTED:
            return "its run is decided but not yet in Redis"
        case RunStatus.ENQUEUED:
            return f"its run is waiting in queue {run.queue!r}"
        case RunStatus.RUNNING:
            return f"its run is being executed (attempt {run.attempts}) by {run.worker}"
        case RunStatus.RETRYING:
            return f"attempt {run.attempts} of its run failed{because(_error_text(run))}; RQ will retry"
        case RunStatus.SUCCEEDED:
            return f"its run succeeded{took}{tries}"
        case RunStatus.FAILED:
            return f"its run failed{took}{tries}{_error(run)}"
        case RunStatus.DECLINED:
            return f"its run found nothing to do{because(run.reason)}"
        case RunStatus.CANCELLED if run.cancelled_by:
            return f"{run.cancelled_by} cancelled its run while it waited{because(run.reason)}"
        case RunStatus.STOPPED | RunStatus.CANCELLED | RunStatus.LOST:
            return f"its run was {run.status}{because(run.reason)}"
        case _:
            assert_never(run.status)


def _error(run: RunSummary) -> str:
    if run.error and run.error.get(keys.ERROR_TYPE):
        return f": {_error_text(run)}"
    return because(run.reason)


def _error_text(run: RunSummary) -> str:
    """The exception with its message; without one, the recorded reason."""
    if run.error and run.error.get(keys.ERROR_TYPE):
        text = f"{run.error[keys.ERROR_TYPE]}: {run.error.get(keys.ERROR_MESSAGE, '')}"
        return clause(text.rstrip(": "))
    return run.reason


def refused_starts(run_events: Sequence[Event]) -> str:
    """A sentence, or nothing."""
    refused = [event for event in run_events if event.type is EventType.START_REFUSED]
    if not refused:
        return ""
    further, second = "further ", "second "
    if any(event.type is EventType.RUN_CANCELLED for event in run_events):
        further = second = ""  # it may never have started
    many = f"{len(refused)} {further}starts of it were"
    what = many if len(refused) > 1 else f"A {second}start of it was"
    return f"{what} refused{because(refused[-1].reason.replace('_', ' '))}."
