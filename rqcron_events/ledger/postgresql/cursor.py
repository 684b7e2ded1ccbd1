"""psycopg's own cursor on the connection that Django holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Cursor

__all__ = ["psycopg_cursor"]


@contextmanager
def psycopg_cursor(db: BaseDatabaseWrapper) -> Iterator[Cursor[Any]]:
    """For many rows: with ``execute(..., binary=True)`` values are converted in C.

    Neither the ORM nor Django's cursor will do: those convert each value in Python, and never ask
    for the binary format. Errors are Django's all the same.
    """
    db.ensure_connection()
    connection: Any = db.connection
    with db.wrap_database_errors, Cursor(connection) as cursor:
        yield cursor
