"""Archived events beside those of the log, for questions about the past that know nothing of an archive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.codec import Row
from ...core.seal.leaf import KEYS
from .event_row import time_text

__all__ = ["insert_archived", "with_archived"]

COLUMNS = ", ".join(KEYS)
INDEXED = ("id", "stream, version", "cron, scheduled_for", "run_id", "occurred_at")


@contextmanager
def with_archived(db: BaseDatabaseWrapper, pages: Iterable[Sequence[Row]]) -> Iterator[None]:
    """A block in which ``rqcron_event`` has these rows, too, for this connection alone: a temporary view of
    that name stands before the table. Nothing can be written there. ``pages`` have rows that the table does
    not have."""
    with db.cursor() as cursor:
        _drop(db)
        cursor.execute("SELECT name, type FROM pragma_table_info('rqcron_event', 'main')")
        # With their types, by which Python's driver converts; without constraints, because what is damaged
        # was archived as it was.
        columns = ", ".join(f"{name} {kind}" for name, kind in cursor.fetchall())
        cursor.execute(f"CREATE TEMPORARY TABLE rqcron_archived ({columns})")
        marks = ", ".join(["%s"] * 14)
        try:
            for page in pages:
                cursor.executemany(
                    f"INSERT INTO temp.rqcron_archived ({COLUMNS}) VALUES ({marks})",  # noqa: S608
                    list(map(_values, page)),
                )
            for number, columns in enumerate(INDEXED):
                cursor.execute(
                    f"CREATE INDEX temp.rqcron_archived_{number} ON rqcron_archived ({columns})"
                )
            cursor.execute(
                f"CREATE TEMPORARY VIEW rqcron_event AS SELECT {COLUMNS} FROM main.rqcron_event "  # noqa: S608
                f"UNION ALL SELECT {COLUMNS} FROM temp.rqcron_archived"
            )
            yield
        finally:
            with suppress(DatabaseError):  # a transaction that failed takes them along
                _drop(db)


def insert_archived(db: BaseDatabaseWrapper, rows: Sequence[Row], after: int) -> bool:
    """Write rows with the ids and times that they had, behind the event ``after``, which has to be the newest one;
    False, and nothing is written, where it is not. Inside of a transaction that has written before."""
    marks = ", ".join(["%s"] * 14)
    with db.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM rqcron_event")
        if cursor.fetchone()[0] != after:
            return False
        cursor.executemany(
            f"INSERT INTO rqcron_event ({COLUMNS}) VALUES ({marks})",  # noqa: S608
            list(map(_values, rows)),
        )
    return True


def _drop(db: BaseDatabaseWrapper) -> None:
    with db.cursor() as cursor:
        cursor.execute("DROP VIEW IF EXISTS temp.rqcron_event")
        cursor.execute("DROP TABLE IF EXISTS temp.rqcron_archived")


def _values(row: Row) -> tuple[Any, ...]:
    (id_, stream, version, kind, schema, cron, run, attempt, slot, reason, actor, occurred_at,
     recorded_at, data) = row  # fmt: skip
    return (
        id_, stream, version, kind, schema, cron, UUID(bytes=run).hex if run else None, attempt,
        time_text(slot), reason, actor, time_text(occurred_at), time_text(recorded_at), data,
    )  # fmt: skip
