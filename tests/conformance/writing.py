"""Every way in which an event gets into the table, and writers beside the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from django.db import connections, transaction

from rqcron_events.core.codec import schema_version
from rqcron_events.core.events import Event, EventType
from rqcron_events.ledger import store
from rqcron_events.ledger.postgresql.log import COPY_EVENTS_MIN
from rqcron_events.models import CronEvent

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MANY = COPY_EVENTS_MIN * 3
"""Enough events for COPY."""
WAIT_SECONDS_MAX = 60


def event(stream: str = "cron/alpha", version: int = 1, **values: Any) -> Event:
    values.setdefault("type", EventType.SLOT_FIRED)
    values.setdefault("occurred_at", NOON)
    values.setdefault("cron", stream.partition("/")[2])
    return Event(stream=stream, version=version, **values)


def events(stream: str = "cron/alpha", count: int = MANY, first: int = 1) -> list[Event]:
    return [event(stream, version) for version in range(first, first + count)]


def row(source: Event) -> CronEvent:
    return CronEvent(
        stream=source.stream,
        version=source.version,
        type=source.type.value,
        schema_version=schema_version(source.type),
        cron=source.cron,
        run_id=source.run_id,
        attempt=source.attempt,
        scheduled_for=source.scheduled_for,
        reason=source.reason,
        actor=source.actor,
        occurred_at=source.occurred_at,
        data=dict(source.data),
    )


def save(batch: list[Event]) -> None:
    with transaction.atomic():
        for item in batch:
            row(item).save()


def bulk_create(batch: list[Event]) -> None:
    with transaction.atomic():  # it has no savepoint of its own
        CronEvent.objects.bulk_create(map(row, batch))


def append(batch: list[Event]) -> None:
    """Small INSERTs: as many events as go in without COPY."""
    with transaction.atomic():
        for start in range(0, len(batch), COPY_EVENTS_MIN - 1):
            store.append(batch[start : start + COPY_EVENTS_MIN - 1])


def append_batches(batch: list[Event]) -> None:
    """COPY on PostgreSQL, when there are enough events."""
    store.append_batches([batch], durable=False)


def append_next(batch: list[Event]) -> None:
    store.append_next([replace(item, version=0) for item in batch])


WRITE_PATHS: dict[str, Callable[[list[Event]], None]] = {
    "save": save,
    "bulk_create": bulk_create,
    "append": append,
    "append_batches": append_batches,
    "append_next": append_next,
}


class Writer(threading.Thread):
    """Runs ``write`` on a connection of its own; ``finish`` raises what it raised."""

    def __init__(self, write: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._write = write
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._write()
        except BaseException as error:  # told by finish(), in the test's own thread
            self._error = error
        finally:
            connections.close_all()

    def finish(self) -> None:
        self.join(WAIT_SECONDS_MAX)
        assert not self.is_alive(), "the writer did not come to an end"
        if self._error is not None:
            raise self._error


class OpenTransaction:
    """A writer that has written and not yet committed, while the block runs.

    It commits at the end of the block unless ``commit`` or ``roll_back`` came before.
    """

    def __init__(self, write: Callable[[], object]) -> None:
        self._write = write
        self._written = threading.Event()
        self._end = threading.Event()
        self._keep = True
        self._writer = Writer(self._run)

    def _run(self) -> None:
        try:
            with transaction.atomic():
                self._write()
                self._written.set()
                assert self._end.wait(WAIT_SECONDS_MAX)
                transaction.set_rollback(not self._keep)
        finally:
            self._written.set()

    def commit(self) -> None:
        self._end.set()
        self._writer.finish()

    def roll_back(self) -> None:
        self._keep = False
        self.commit()

    def __enter__(self) -> Self:
        self._writer.start()
        assert self._written.wait(WAIT_SECONDS_MAX)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.commit()
