"""The ledger as lines for a terminal: when, which cron, what happened, details, which run."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from rqcron_events.core.events import Event, EventType

COLOURS = {
    EventType.CRON_REGISTERED: "magenta",
    EventType.CRON_PAUSED: "magenta",
    EventType.SLOT_FIRED: "cyan",
    EventType.SLOT_SKIPPED: "yellow",
    EventType.SLOT_MISSED: "yellow",
    EventType.RUN_SUCCEEDED: "green",
    EventType.RUN_DECLINED: "blue",
    EventType.ATTEMPT_FAILED: "red",
    EventType.RUN_FAILED: "bold red",
    EventType.RUN_LOST: "bold red",
    EventType.RUNNER_STARTED: "magenta",
    EventType.RUNNER_STOPPED: "magenta",
    EventType.RUNNER_LOST: "bold red",
}
"""Everything else is dim."""
RECORDED_LATE_SECONDS = 1


def heading() -> Text:
    return Text(_columns("time UTC", "cron", "what", "run", "details"), style="bold")


def line(event: Event) -> Text:
    """One event. The colour follows what happened."""
    what, details = words(event)
    if (late := _recorded_late(event)) >= RECORDED_LATE_SECONDS:
        details += f" (recorded {_seconds(late)} later)"
    run = str(event.run_id)[:8] if event.run_id else ""
    text = _columns(_clock(event.occurred_at), event.cron or "-", what, run, details)
    return Text(text, style=COLOURS.get(event.type, "dim"))


def words(event: Event) -> tuple[str, str]:
    """What happened, and the details that the ledger holds about it."""
    data = event.data
    match event.type:
        case EventType.CRON_REGISTERED:
            definition = data["definition"]
            seconds = definition.get("every_seconds")
            schedule = f"every {seconds} s" if seconds else definition["expression"]
            zone = definition.get("timezone", "UTC")
            return "registered", schedule if seconds or zone == "UTC" else f"{schedule} ({zone})"
        case EventType.SLOT_FIRED:
            return "fired", f"{_seconds(data['lateness_seconds'])} after {_slots(event)}"
        case EventType.SLOT_SKIPPED | EventType.SLOT_MISSED:
            what = event.type.value.removeprefix("slot_")
            if event.data.get("count", 1) == 1 and _is_punctual(event):
                return what, _why(event)
            return what, f"{_slots(event)}: {_why(event)}"
        case EventType.RUN_ENQUEUED:
            return "enqueued", f"queue {data['queue']}"
        case EventType.RUN_STARTED:
            return "started", "" if event.attempt == 1 else f"attempt {event.attempt}"
        case EventType.RUN_SUCCEEDED:
            return "succeeded", f"in {_seconds(data.get('duration_seconds'))}"
        case EventType.ATTEMPT_FAILED:
            left = data.get("retries_left", 0)
            again = f"{left} {'retry' if left == 1 else 'retries'} left"
            return "attempt failed", f"{_error(event)}; {again}"
        case EventType.RUN_FAILED:
            return "FAILED", _error(event)
        case EventType.RUNNER_STARTED:
            return "runner started", event.actor.removeprefix("runner/")
        case EventType.RUNNER_STOPPED:
            return "runner stopped", event.actor.removeprefix("runner/")
        case EventType.CRON_PAUSED:
            return "paused", f"by {event.actor} {event.reason}"
        case _:
            what = event.type.value
            for prefix in ("run_", "cron_"):
                what = what.removeprefix(prefix)
            return what.replace("_", " "), event.reason


def show(console: Console, text: Text) -> None:
    """One line: cut at the edge of a terminal, whole in a file or a pipe."""
    if console.is_terminal:
        text.truncate(console.width, overflow="ellipsis")
    text.rstrip()
    console.print(text, soft_wrap=True)


def _columns(when: str, cron: str, what: str, run: str, details: str) -> str:
    return f"{when:<8}  {cron:<16}  {what:<14}  {run:<8}  {details}"


def _slots(event: Event) -> str:
    count = event.data.get("count", 1)
    last = _clock(event.scheduled_for)
    if count > 1:
        return f"{count} slots, {_clock(event.parsed_time('first'))} to {last}"
    return "its slot" if _is_punctual(event) else f"its slot at {last}"


def _recorded_late(event: Event) -> float:
    """The end of a process that was killed is found by another one, some seconds later."""
    recorded_at = event.recorded_at or event.occurred_at
    return (recorded_at - event.occurred_at).total_seconds()


def _is_punctual(event: Event) -> bool:
    return _clock(event.occurred_at) == _clock(event.scheduled_for)


def _why(event: Event) -> str:
    """The reason, and what the decision rests on."""
    evidence = event.data.get("evidence", {})
    if evidence.get("run_id"):
        return f"{event.reason}, run {evidence['run_id'][:8]} is not done"
    if evidence.get("actor"):
        return f"{event.reason} by {evidence['actor']} {evidence['reason']}"
    return event.reason


def _error(event: Event) -> str:
    error = event.data.get("error") or {}
    if not error.get("type"):
        return event.reason
    return f"{error['type']}: {error['message']}".partition("\n")[0]


def _seconds(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def _clock(instant: datetime | None) -> str:
    return f"{instant.astimezone(UTC):%H:%M:%S}" if instant else "?"
