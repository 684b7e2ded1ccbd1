"""The chain from the slot to the end of its run, each step as a bar on one time axis. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rqcron_events.core.explain.run import Step
from rqcron_events.core.run_state import STATUS_OF_OUTCOME

__all__ = ["Part", "chain"]

ENDS = frozenset(status.value for status in STATUS_OF_OUTCOME.values())
_ATTEMPT_ENDS = ENDS | {"attempt_failed", "started"}
_WORDS = {
    "slot": "was due",
    "decided": "handed to RQ",
    "requested": "handed to RQ",
    "enqueued": "in the queue",
    "enqueue_failed": "RQ takes no job",
    "started": "running",
    "attempt_failed": "waiting for the next attempt",
}
"""What goes on after a step, until the next one."""
_KINDS = {"started": "running", "enqueued": "queue", "attempt_failed": "queue"}
_BAD = frozenset({"attempt_failed", "failed", "lost", "stopped", "cancelled"})
WIDTH_PERCENT_MIN = 0.7
"""A step of a few milliseconds has to be seen beside one of hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A step, and what went on from then until the next one."""

    name: str
    at: datetime
    detail: str
    words: str
    """What went on; empty for an end."""
    seconds: float | None
    """For how long; None for an end."""
    kind: str
    """wait, queue, running, failed or end: the class of its bar."""
    left_percent: float
    width_percent: float
    is_open: bool = False
    """It still goes on."""


def chain(steps: Sequence[Step], now: datetime) -> list[Part]:
    """In the order of their times, as clocks told them; ``now`` ends what has no end yet."""
    known = sorted(steps, key=lambda step: step.at)
    if not known:
        return []
    begin = known[0].at
    ended = any(step.name in ENDS for step in known)
    end = known[-1].at if ended else max(now, known[-1].at)
    whole = (end - begin).total_seconds() or 1.0
    return [_part(known, place, begin, end, whole, ended) for place in range(len(known))]


def _part(
    known: Sequence[Step],
    place: int,
    begin: datetime,
    end: datetime,
    whole: float,
    ended: bool,
) -> Part:
    step = known[place]
    follows = _follows(known, place)
    words = _WORDS.get(step.name, "")
    is_open = bool(words) and follows is None and not ended
    until = follows.at if follows is not None else end
    seconds = (until - step.at).total_seconds() if words and (follows or is_open) else None
    left = 100 * (step.at - begin).total_seconds() / whole
    width = max(100 * (seconds or 0) / whole, WIDTH_PERCENT_MIN)
    return Part(
        name=step.name.replace("_", " "),
        at=step.at,
        detail=step.detail,
        words=words if seconds is not None else "",
        seconds=seconds,
        kind=_kind(step, follows) if seconds is not None else "end",
        left_percent=round(min(left, 100 - WIDTH_PERCENT_MIN), 2),
        width_percent=round(width, 2),
        is_open=is_open,
    )


def _follows(known: Sequence[Step], place: int) -> Step | None:
    """The step that ends what a step began. A worker may be faster than the note that a job is in
    the queue: that note ends no attempt, and begins nothing."""
    step, later = known[place], known[place + 1 :]
    if step.name == "started":
        return next((item for item in later if item.name in _ATTEMPT_ENDS), None)
    if step.name == "enqueued" and any(item.name == "started" for item in known[:place]):
        retried = any(item.name == "attempt_failed" for item in known[:place])
        return next((item for item in later if item.name == "started"), None) if retried else None
    return next((item for item in later if item.name != "start_refused"), None)


def _kind(step: Step, follows: Step | None) -> str:
    if step.name == "started" and follows is not None and follows.name in _BAD:
        return "failed"
    return _KINDS.get(step.name, "wait")
