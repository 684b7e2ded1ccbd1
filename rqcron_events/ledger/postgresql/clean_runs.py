"""Runs without incident on PostgreSQL: the statement that finds them, and the memory it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Cursor

from ..clean_runs import clean_runs_statement
from .cursor import psycopg_cursor

__all__ = ["CLEAN_RUNS", "grouping_cursor"]

CLEAN_RUNS = clean_runs_statement(
    run_id="run_id",
    group="run_id",
    time=str,
    lateness="NULLIF(data->'lateness_seconds', 'null')::float8",  # fails for text, and it must
    queue="COALESCE(data->>'queue', '')",
    duration="NULLIF(data->'duration_seconds', 'null')::float8",
    exact='COLLATE "C"',
    has_slot="""COALESCE(data->'trigger', '"slot"') = '"slot"'""",
    has_no_error="data->'error' IS NULL",
    in_range="BETWEEN '0001-01-03+00' AND '9999-12-29+00'",
)
GROUPING_BYTES = 32 << 20
"""For the groups of a page. With the 4 MB of PostgreSQL's default they go through files, which
takes twice as long."""


@contextmanager
def grouping_cursor(db: BaseDatabaseWrapper) -> Iterator[Cursor[Any]]:
    """A cursor in a transaction of its own that may use as much memory as the statement needs."""
    with psycopg_cursor(db) as cursor, cursor.connection.transaction():
        cursor.execute(
            "SELECT set_config('work_mem', "
            "greatest(pg_size_bytes(current_setting('work_mem')), %s) / 1024 || 'kB', true)",
            [GROUPING_BYTES],
        )
        yield cursor
