"""A log to seal, and its key: what tests of seals share."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.utils import timezone

from rqcron_events.core.codec import Row, json_text
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
from rqcron_events.core.seal.note import Signer, new_signer
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.seals.courier import deliver
from rqcron_events.seals.keys import verifiers
from rqcron_events.seals.outside import read_outside
from rqcron_events.seals.sealer import seal_all, seal_next
from rqcron_events.seals.verify import Verification, verify

NAME = "example.org/crons"
KEY = new_signer(NAME)
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SPACE = UUID(int=7)


def run_of(cron: str, number: int) -> UUID:
    return uuid5(SPACE, f"{cron} {number}")


def events_of(cron: str, number: int, version: int) -> list[Event]:
    """Of a slot and its run, four; the first one of a cron is preceded by its registration."""
    at, run = NOON + timedelta(minutes=number), run_of(cron, number)
    own: list[tuple[EventType, dict[str, Any]]] = []
    if version == 0:
        new = {"definition": {"name": cron, "function": "x:y", "expression": "* * * * *"}}
        own.append((EventType.CRON_REGISTERED, new | {"definition_version": 1}))
    own.append((EventType.SLOT_FIRED, {"lateness_seconds": 0.25, "definition_version": 1}))
    events = [
        Event(stream=cron_stream(cron), version=version + place, type=kind, cron=cron,
              occurred_at=at, data=data, actor="runner/r",
              run_id=run if kind is EventType.SLOT_FIRED else None,
              scheduled_for=at if kind is EventType.SLOT_FIRED else None)
        for place, (kind, data) in enumerate(own, start=1)
    ]  # fmt: skip
    of_run: list[tuple[EventType, dict[str, Any]]] = [
        (EventType.RUN_ENQUEUED, {"queue": "default", "job_id": f"cron-{run}"}),
        (EventType.RUN_STARTED, {"retries_left": 0}),
        (EventType.RUN_FAILED, {"error": {"type": "E", "message": "caf\u00e9 \U0001f600"}}),
    ]
    events += [
        Event(stream=run_stream(run), version=version, type=kind, cron=cron, run_id=run,
              scheduled_for=at, occurred_at=at, data=data, actor="worker/w")
        for version, (kind, data) in enumerate(of_run, start=1)
    ]  # fmt: skip
    return events


def rows_of_before(*, days: float) -> list[Row]:
    """Of six runs of ``alpha``, with gaps between their ids, as they were stored so long ago."""
    found: list[Row] = []
    at = timezone.now() - timedelta(days=days)
    for number in range(1, 7):
        for event in events_of("alpha", number, number if number > 1 else 0):
            found.append((
                3 * len(found) + 2, event.stream, event.version, event.type.value, 1, event.cron,
                event.run_id.bytes if event.run_id else None, None, event.scheduled_for, "",
                event.actor, event.occurred_at, at, json_text(event.data),
            ))  # fmt: skip
    return found


def fire(cron: str, number: int) -> None:
    """One more slot of the cron, with its run."""
    store.append(events_of(cron, number, newest_version(cron_stream(cron))))


def newest_version(stream: str) -> int:
    rows = CronEvent.objects.filter(stream=stream).order_by("-version")
    return rows.values_list("version", flat=True).first() or 0


def history(*crons: str, runs: int = 2) -> list[int]:
    """New crons and their runs, one after the other; the ids of all events."""
    store.append([
        event
        for cron in crons
        for number in range(1, runs + 1)
        for event in events_of(cron, number, number if number > 1 else 0)
    ])  # fmt: skip
    return ids()


def ids() -> list[int]:
    return list(CronEvent.objects.order_by("id").values_list("id", flat=True))


def gap() -> None:
    """An id that is drawn and never used, on PostgreSQL."""
    with transaction.atomic():
        fire("rolled_back", 1)
        transaction.set_rollback(True)


def seal(signer: Signer = KEY) -> int:
    return seal_all(signer)


def seal_in_parts(limit: int) -> None:
    while seal_next(KEY, limit):
        pass


def keep_outside(directory: Path) -> None:
    """What a receiver of the kind ``file`` is told."""
    assert deliver("outside", {"kind": "file", "path": str(directory)})


def verified(*outside: Path, all_: bool = True, **more: Any) -> Verification:
    keys = verifiers()
    told = read_outside(list(map(str, outside)), keys, io.StringIO()) if outside else None
    return verify(keys, told, start_over=all_, **more)


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def role(name: str) -> Iterator[None]:
    """Inside of a test's transaction on PostgreSQL."""
    execute(f"SET LOCAL ROLE {name}")
    yield
    execute("RESET ROLE")
