"""A log to archive, and a place for its segments: what tests of the archive share."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management import call_command

from rqcron_events import clock
from rqcron_events.archive.archiving import Archived, archive
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.runner.following.steps import follow_all
from tests.sealing import KEY, NOON, fire, run_of, seal

ALIAS = "segments"


def storages(directory: Path) -> dict[str, Any]:
    """For STORAGES."""
    simple = "django.core.files.storage.FileSystemStorage"
    return {
        "default": {"BACKEND": simple},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        ALIAS: {"BACKEND": simple, "OPTIONS": {"location": str(directory)}},
    }


def use_archive(settings: Any, directory: Path) -> None:
    """The project has a key, and a place for segments."""
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
    settings.STORAGES = storages(directory)
    settings.RQCRON_ARCHIVE = {"storage": ALIAS}


def later() -> datetime:
    """A time before which everything was recorded."""
    return clock.now() + timedelta(hours=1)


def archive_all(**more: Any) -> Archived:
    """Seal everything, let all followers read it, and archive what is not in the newest seal."""
    seal()
    fire("last", CronEvent.objects.filter(stream=cron_stream("last")).count() + 1)
    seal()
    follow_all()
    return archive(later(), "ann", **more)


def printed(*line: str) -> str:
    out = io.StringIO()
    call_command("cron_archive", *line, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def rows() -> list[tuple[Any, ...]]:
    return list(CronEvent.objects.order_by("id").values_list())


def open_run(cron: str, number: int) -> None:
    """A slot whose run does not end."""
    version = CronEvent.objects.filter(stream=cron_stream(cron)).count()
    at, run = NOON + timedelta(minutes=number), run_of(cron, number)
    store.append([
        Event(stream=cron_stream(cron), version=version + 1, type=EventType.SLOT_FIRED, cron=cron,
              run_id=run, scheduled_for=at, occurred_at=at, actor="runner/r",
              data={"lateness_seconds": 0.25, "definition_version": 1}),
        _of_run(cron, run, at, 1, EventType.RUN_ENQUEUED, {"queue": "default", "job_id": f"cron-{run}"}),
    ])  # fmt: skip


def end_run(cron: str, number: int) -> None:
    at, run = NOON + timedelta(minutes=number), run_of(cron, number)
    version = CronEvent.objects.filter(stream=run_stream(run)).count()
    store.append([
        _of_run(cron, run, at, version + 1, EventType.RUN_STARTED, {"retries_left": 0}),
        _of_run(cron, run, at, version + 2, EventType.RUN_SUCCEEDED, {"duration_seconds": 1.5}),
    ])  # fmt: skip


def _of_run(
    cron: str, run: UUID, at: datetime, version: int, kind: EventType, data: dict[str, Any]
) -> Event:
    return Event(stream=run_stream(run), version=version, type=kind, cron=cron, run_id=run,
                 scheduled_for=at, occurred_at=at.astimezone(UTC), actor="worker/w", data=data)  # fmt: skip
