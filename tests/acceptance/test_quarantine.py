"""What can be read again comes back into runners and projections that run, after one command."""

from __future__ import annotations

from pathlib import Path

from django.db import IntegrityError, transaction

from rqcron_events import clock
from rqcron_events.models import CronEvent, QuarantinedEvent
from tests.processes import Project


def poison(cron: str) -> CronEvent:
    """Beside a runner that appends to the same stream."""
    while True:
        newest = CronEvent.objects.filter(stream=f"cron/{cron}").order_by("-version")[0]
        row = CronEvent(
            stream=newest.stream,
            version=newest.version + 1,
            cron=cron,
            type="cron_painted",
            occurred_at=clock.now(),
        )
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:
            continue
        return row


def test_a_retry_needs_no_restart(project: Project, tmp_path: Path) -> None:
    late = tmp_path / "late"
    project.environment |= {
        "TEST_APPS": "tests.crons_app,tests.late_app",
        "RQCRON_TEST_LATE": str(late),
    }
    project.start("cron_run")
    fired = CronEvent.objects.for_cron("quick").of_type("slot_fired")
    project.wait_until(fired.exists)
    event = poison("quick")
    readers = QuarantinedEvent.objects.filter(event_id=event.id).values_list("reader", flat=True)
    project.wait_until(lambda: {"runner", "projection:crons"} <= set(readers.all()))
    later = fired.filter(id__gt=event.id)

    done = project.run("cron_quarantine", "--retry")
    assert "0 of" in done.stdout, done
    assert not later.exists()
    late.touch()
    done = project.run("cron_quarantine", "--retry")
    assert "Rebuilt with them:" in done.stdout, done
    assert "crons" in done.stdout
    project.wait_until(later.exists)
    assert not readers.exists()
    assert project.run("cron_replay", "--check").returncode == 0
