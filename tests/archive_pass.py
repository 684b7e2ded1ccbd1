"""A log to archive, and a place for its segments: what tests of the archive share."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management import call_command

from rqcron_events.archive.archiving import Archived, archive
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
from rqcron_events.followers import Follower, followers
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, CronSeal
from rqcron_events.runner.following.steps import follow_all
from tests.sealing import KEY, NOON, events_of, fire, newest_version, run_of, seal

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
    return datetime(2098, 1, 1, tzinfo=UTC)


def archive_all(limit: int | None = None, **more: Any) -> Archived:
    """Seal everything, let all followers read it, and archive what is not in the newest seal. ``limit``: no
    more than so many of the log's events."""
    seal()
    fire("last", newest_version(cron_stream("last")) + 1)
    seal()
    follow_all()
    if limit is None:
        return archive(later(), "ann", **more)
    position = CronSeal.objects.get(size=limit).last_id
    followers["limit"] = Follower(catch_up=lambda: 0, position=lambda: position)
    try:
        return archive(later(), "ann", **more)
    finally:
        del followers["limit"]


def printed(*line: str) -> str:
    out = io.StringIO()
    call_command("cron_archive", *line, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def rows() -> list[tuple[Any, ...]]:
    return list(CronEvent.objects.order_by("id").values_list())


def fire_many(cron: str, first: int, count: int) -> None:
    """So many slots with their runs, in one transaction."""
    events: list[Event] = []
    version = newest_version(cron_stream(cron))
    for number in range(first, first + count):
        events += events_of(cron, number, version)
        version += 1 if version else 2
    store.append(events)


def open_run(cron: str, number: int) -> None:
    """A slot whose run does not end."""
    version = newest_version(cron_stream(cron))
    at, run = NOON + timedelta(minutes=number), run_of(cron, number)
    store.append([
        Event(stream=cron_stream(cron), version=version + 1, type=EventType.SLOT_FIRED, cron=cron,
              run_id=run, scheduled_for=at, occurred_at=at, actor="runner/r",
              data={"lateness_seconds": 0.25, "definition_version": 1}),
        _of_run(cron, run, at, 1, EventType.RUN_ENQUEUED, {"queue": "default", "job_id": f"cron-{run}"}),
    ])  # fmt: skip


def end_run(cron: str, number: int) -> None:
    at, run = NOON + timedelta(minutes=number), run_of(cron, number)
    version = newest_version(run_stream(run))
    store.append([
        _of_run(cron, run, at, version + 1, EventType.RUN_STARTED, {"retries_left": 0}),
        _of_run(cron, run, at, version + 2, EventType.RUN_SUCCEEDED, {"duration_seconds": 1.5}),
    ])  # fmt: skip


def _of_run(
    cron: str, run: UUID, at: datetime, version: int, kind: EventType, data: dict[str, Any]
) -> Event:
    return Event(stream=run_stream(run), version=version, type=kind, cron=cron, run_id=run,
                 scheduled_for=at, occurred_at=at.astimezone(UTC), actor="worker/w", data=data)  # fmt: skip
