"""One event in a few words, as the log is shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from ..definition import Definition
from ..events import Event, EventType, keys
from ..schedule import local_time
from ..wording import duration, shown_time

__all__ = ["event_words"]

ERROR_CHARACTERS_MAX = 160
"""Of a line about an error."""
VALUE_CHARACTERS_MAX = 60


def event_words(event: Event, zone: tzinfo = UTC) -> str:
    """What happened, without when, where and who. ``zone`` is for the times in it.

    >>> from datetime import datetime
    >>> event_words(Event(stream="run/1", version=3, type=EventType.RUN_SUCCEEDED,
    ...     occurred_at=datetime(2026, 3, 2, tzinfo=UTC), data={"duration_seconds": 1.5}))
    'succeeded in 1.5 s'
    """
    data = event.data
    match event.type:
        case EventType.SLOT_FIRED:
            found = data.get(keys.RECOVERED, {}).get(keys.RECOVERED_FROM, ())
            recovered = f" (decision lost, recovered from {', '.join(found)})" if found else ""
            return _fired(float(data.get(keys.LATENESS_SECONDS) or 0)) + recovered
        case EventType.SLOT_SKIPPED:
            return f"skipped: {event.reason}{_many(event, zone)}"
        case EventType.SLOT_MISSED:
            return f"missed: {event.reason}{_many(event, zone)}"
        case EventType.RUN_REQUESTED:
            trigger, slot = data.get(keys.TRIGGER, "manual"), event.scheduled_for
            of_slot = f" of {_near(slot, event, zone)}" if slot is not None else ""
            return f"asked for ({trigger}{of_slot}){_after(event.reason)}"
        case EventType.RUN_ENQUEUED:
            return f"in queue {data.get(keys.QUEUE, '')}"
        case EventType.ENQUEUE_FAILED:
            return f"not enqueued: {_error(event)}"[:ERROR_CHARACTERS_MAX]
        case EventType.RUN_STARTED:
            return f"started, attempt {event.attempt}"
        case EventType.ATTEMPT_FAILED:
            left = data.get(keys.RETRIES_LEFT)
            retries = f"{left} {'retry' if left == 1 else 'retries'} left"
            return f"attempt {event.attempt} failed, {retries}: {_error(event)}"
        case EventType.RUN_FAILED:
            return f"failed: {_error(event)}"
        case EventType.RUN_SUCCEEDED:
            result = data.get(keys.RESULT)
            returned = "" if result is None else f", returned {_bounded(result)}"
            taken = duration(float(data.get(keys.DURATION_SECONDS) or 0))
            return f"succeeded in {taken}{returned}"
        case EventType.CRON_CHANGED:
            return _changed(data.get(keys.CHANGES, {}))
        case EventType.CRON_PAUSED | EventType.ALL_PAUSED:
            until = event.parsed_time(keys.UNTIL)
            end = f" until {shown_time(until, zone)}" if until else ""
            what = "paused" if event.type is EventType.CRON_PAUSED else "all paused"
            return f"{what}{end}{_after(event.reason)}"
        case _:
            words = event.type.value.removeprefix("run_").removeprefix("cron_").replace("_", " ")
            return f"{words}{_after(event.reason)}"


def _fired(late_seconds: float) -> str:
    if late_seconds < 1:
        return f"fired {late_seconds * 1000:.0f} ms after the slot"
    return f"fired {late_seconds:.1f} s late"


def _changed(changes: Mapping[str, Any]) -> str:
    """A new name first: the log goes on under the stored one, so nothing else tells of it."""
    found = changes.get("names")
    names = found[1] if isinstance(found, (list, tuple)) and len(found) == 2 else None
    if not isinstance(names, (list, tuple)) or len(names) < 2:
        return f"changed: {_changes(changes)}"
    rest = _changes({name: pair for name, pair in changes.items() if name != "names"})
    renamed = f"renamed from {_bounded(names[-2])} to {_bounded(names[-1])}"
    return f"{renamed}, changed: {rest}" if rest else renamed


def _changes(changes: Mapping[str, Any]) -> str:
    """``expression */2 * * * * \u2192 */3 * * * *``; what was not said before was the default."""
    return ", ".join(
        f"{name} {_value(name, found[0])} \u2192 {_value(name, found[1])}"
        if isinstance(found, (list, tuple)) and len(found) == 2
        else name
        for name, found in sorted(changes.items())
    )


def _value(name: str, value: Any) -> str:
    if value is None:
        value = getattr(_DEFAULTS, name, None)
    return "none" if value in (None, "", {}) else _bounded(value)


def _bounded(value: object) -> str:
    text = " ".join(str(value).split())
    return (
        text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 1] + "\u2026"
    )


_DEFAULTS = Definition(name="", function="")


def _many(decision: Event, zone: tzinfo) -> str:
    count, first = decision.data.get(keys.COUNT, 1), decision.parsed_time(keys.FIRST)
    if count > 1 and first:
        return f" ({count} slots from {_near(first, decision, zone)})"
    return ""


def _near(slot: datetime, event: Event, zone: tzinfo) -> str:
    """A slot beside the time of an event: without the day, where that is the same."""
    local, told = local_time(slot, zone), local_time(event.occurred_at, zone)
    return f"{local:%H:%M:%S}" if local.date() == told.date() else shown_time(slot, zone)


def _error(event: Event) -> str:
    error = event.data.get(keys.ERROR) or {}
    what = event.reason
    if error.get(keys.ERROR_TYPE):
        said = error.get(keys.ERROR_MESSAGE)
        what = f"{error[keys.ERROR_TYPE]}: {said}" if said else str(error[keys.ERROR_TYPE])
    return what[:ERROR_CHARACTERS_MAX]


def _after(reason: str) -> str:
    return f": {reason}" if reason else ""
