"""Archived events beside those of the log, for questions about the past that know nothing of an archive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ...core.codec import Row
from ...core.seal.leaf import KEYS
from .sessions import in_one_session

__all__ = ["insert_archived", "with_archived"]

COLUMNS = ", ".join(KEYS)
INDEXED = ("id", "stream, version", "cron, scheduled_for", "run_id", "occurred_at")


@contextmanager
def with_archived(db: BaseDatabaseWrapper, pages: Iterable[Sequence[Row]]) -> Iterator[None]:
    """A block in which ``rqcron_event`` has these rows, too, for this session alone: a temporary view of
    that name stands before the table. Nothing can be written there. ``pages`` have rows that the table does
    not have."""
    with in_one_session(db), db.cursor() as cursor:
        # Without constraints: what is damaged was archived as it was.
        cursor.execute("CREATE TEMPORARY TABLE rqcron_archived AS TABLE rqcron_event WITH NO DATA")
        for page in pages:
            with (
                db.wrap_database_errors,
                cursor.copy(f"COPY rqcron_archived ({COLUMNS}) FROM STDIN") as copy,
            ):
                for row in page:
                    run = UUID(bytes=row[6]) if row[6] is not None else None
                    copy.write_row((*row[:6], run, *row[7:]))
        for columns in INDEXED:
            cursor.execute(f"CREATE INDEX ON rqcron_archived ({columns})")
        cursor.execute("ANALYZE rqcron_archived")
        cursor.execute(
            f"CREATE TEMPORARY VIEW rqcron_event AS SELECT {COLUMNS} FROM rqcron_event "  # noqa: S608
            f"UNION ALL SELECT {COLUMNS} FROM rqcron_archived"
        )
        # A role may have pg_temp last, as is advised for functions.
        cursor.execute("SELECT current_setting('search_path')")
        path = cursor.fetchone()[0]
        _look_in(cursor, f"pg_temp, {path}")
        yield
        _look_in(cursor, path)
        cursor.execute("DROP VIEW pg_temp.rqcron_event")
        cursor.execute("DROP TABLE pg_temp.rqcron_archived")
        cursor.execute("DISCARD PLANS")


def insert_archived(db: BaseDatabaseWrapper, rows: Sequence[Row], after: int) -> bool:
    """Write rows with the ids and times that they had, behind the event ``after``, which has to be the newest one;
    False, and nothing is written, where it is not. Inside of a transaction. Needs the right to write ``id``."""
    with db.cursor() as cursor:
        # Who appends waits, and so nobody's id comes in between.
        cursor.execute("LOCK TABLE rqcron_event IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("SELECT coalesce(max(id), 0) FROM rqcron_event")
        if cursor.fetchone()[0] != after:
            return False
        with (
            db.wrap_database_errors,
            cursor.copy(f"COPY rqcron_event ({COLUMNS}) FROM STDIN") as copy,
        ):
            for row in rows:
                run = UUID(bytes=row[6]) if row[6] is not None else None
                copy.write_row((*row[:6], run, *row[7:]))
        # After the rows, which hold the fence: a reader that sees the number waits for them.
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('rqcron_event', 'id'), %s)", [rows[-1][0]]
        )
    return True


def _look_in(cursor: CursorWrapper, path: str) -> None:
    cursor.execute("SELECT set_config('search_path', %s, true)", [path])
    cursor.execute("DISCARD PLANS")  # a prepared statement would go on to read what it read
