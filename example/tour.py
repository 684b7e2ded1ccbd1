"""The questions that the demo asks, with the real commands, about what has just happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.core.management import CommandError, call_command
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from rqcron_events.core.events import Event, EventType, Reason
from rqcron_events.models import CronEvent
from rqcron_events.registry import registry


def tour(console: Console) -> None:
    """Print the list of crons, and one explanation for each verdict that occurred."""
    run(console, "Every cron, and how it is doing", "cron_list")
    for title, name, instant in questions():
        run(console, title, "cron_explain", name, "--at", f"{instant:%Y-%m-%dT%H:%M:%SZ}")
    console.print()


def questions() -> Iterator[tuple[str, str, datetime]]:
    """Title, cron and instant of each."""
    for title, event in (
        ("Fired, and it went well", _decision(EventType.SLOT_FIRED, after=EventType.RUN_SUCCEEDED)),
        ("Fired, and it failed", _decision(EventType.SLOT_FIRED, after=EventType.RUN_FAILED)),
        (
            "Skipped: the run before took too long",
            _decision(EventType.SLOT_SKIPPED, Reason.OVERLAP),
        ),
        ("Skipped: somebody paused it", _decision(EventType.SLOT_SKIPPED, Reason.PAUSED)),
        ("Missed", _decision(EventType.SLOT_MISSED)),
    ):
        if event is not None and event.scheduled_for is not None:
            yield title, event.cron, event.scheduled_for
    now = datetime.now(UTC)
    slot = registry.crons["weekday_digest"].definition.schedule.next_after(now)
    if slot is not None:
        yield "Pending: it will come", "weekday_digest", slot
        yield "Not a slot", "weekday_digest", slot + timedelta(minutes=17)
    yield "Not registered: the demo did not run yet", "check_sites", now - timedelta(days=1)
    yield "Unknown: a typing error", "chekc_sites", now


def run(console: Console, title: str, command: str, *words: str) -> None:
    """Show a command as one would type it, and what it prints."""
    console.print()
    console.print(Rule(title, align="left", characters="─", style="dim"))
    console.print(Text(f"$ manage.py {' '.join([command, *words])}", style="bold"))
    try:
        call_command(command, *words, stdout=console.file)
    except CommandError as error:
        console.print(Text(f"CommandError: {error}"), soft_wrap=True)
    console.file.flush()


def _decision(
    event_type: EventType, reason: str = "", *, after: EventType | None = None
) -> Event | None:
    """The newest decision of that kind, whose run ended that way."""
    rows = CronEvent.objects.of_type(event_type)
    if reason:
        rows = rows.filter(reason=reason)
    if after is not None:
        rows = rows.filter(run_id__in=CronEvent.objects.of_type(after).values("run_id"))
    row = rows.order_by("-id").first()
    return row.to_event() if row else None
