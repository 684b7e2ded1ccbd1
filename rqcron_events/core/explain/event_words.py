"""One event in a few words, as the log is shown. Pure."""

from __future__ import annotations

from datetime import UTC

from ..events import Event, EventType, keys

__all__ = ["event_words"]

ERROR_CHARACTERS_MAX = 160
"""Of a line about an error."""


def event_words(event: Event) -> str:
    """What happened, without when, where and who.

    >>> from datetime import datetime
    >>> event_words(Event(stream="run/1", version=3, type=EventType.RUN_SUCCEEDED,
    ...     occurred_at=datetime(2026, 3, 2, tzinfo=UTC), data={"duration_seconds": 1.5}))
    'succeeded in 1.50 s'
    """
    data = event.data
    match event.type:
        case EventType.SLOT_FIRED:
            found = data.get(keys.RECOVERED, {}).get(keys.RECOVERED_FROM, ())
            recovered = f" (decision lost, recovered from {', '.join(found)})" if found else ""
            return _fired(float(data.get(keys.LATENESS_SECONDS) or 0)) + recovered
        case EventType.SLOT_SKIPPED:
            return f"skipped: {event.reason}{_many(event)}"
        case EventType.SLOT_MISSED:
            return f"missed: {event.reason}{_many(event)}"
        case EventType.RUN_REQUESTED:
            return f"asked for ({data.get(keys.TRIGGER, 'manual')}){_after(event.reason)}"
        case EventType.RUN_ENQUEUED:
            return f"in queue {data.get(keys.QUEUE, '')}"
        case EventType.ENQUEUE_FAILED:
            error = data.get(keys.ERROR) or {}
            text = f"{error.get(keys.ERROR_TYPE)}: {error.get(keys.ERROR_MESSAGE)}"
            return f"not enqueued: {text}"[:ERROR_CHARACTERS_MAX]
        case EventType.RUN_STARTED:
            return f"started, attempt {event.attempt}"
        case EventType.ATTEMPT_FAILED:
            left = data.get(keys.RETRIES_LEFT)
            return f"{_failed(event)} ({left} {'retry' if left == 1 else 'retries'} left)"
        case EventType.RUN_FAILED:
            return _failed(event)
        case EventType.RUN_SUCCEEDED:
            return f"succeeded in {float(data.get(keys.DURATION_SECONDS) or 0):.2f} s"
        case EventType.CRON_CHANGED:
            return f"changed: {', '.join(data.get(keys.CHANGES, {}))}"
        case _:
            words = event.type.value.removeprefix("run_").removeprefix("cron_").replace("_", " ")
            return f"{words}{_after(event.reason)}"


def _fired(late_seconds: float) -> str:
    if late_seconds < 1:
        return f"fired {late_seconds * 1000:.0f} ms after the slot"
    return f"fired {late_seconds:.1f} s late"


def _many(decision: Event) -> str:
    count, first = decision.data.get(keys.COUNT, 1), decision.parsed_time(keys.FIRST)
    if count > 1 and first:
        return f" ({count} slots from {first.astimezone(UTC):%H:%M:%S})"
    return ""


def _failed(event: Event) -> str:
    error = event.data.get(keys.ERROR) or {}
    what = event.reason
    if error.get(keys.ERROR_TYPE):
        what = f"{error.get(keys.ERROR_TYPE)}: {error.get(keys.ERROR_MESSAGE)}"
    return f"failed: {what}"[:ERROR_CHARACTERS_MAX]


def _after(reason: str) -> str:
    return f": {reason}" if reason else ""
