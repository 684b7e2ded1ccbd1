"""What a session is here: a connection to a file, with nothing in between."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper


def second_connection(_: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """None: a connection belongs to its thread, and a database in memory to its connection."""
    return nullcontext()


def in_one_session(_: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """Nothing stands in between. A transaction would see none of what others commit."""
    return nullcontext()


def leave_pool(_: BaseDatabaseWrapper) -> None:
    """There is none."""


def is_pooled(_: BaseDatabaseWrapper) -> bool:
    return False


def new_session(db: BaseDatabaseWrapper) -> None:
    """Leave this thread's session, with all that was set in it, for a new one."""
    db.close()


def interrupt(db: BaseDatabaseWrapper) -> None:
    """End the statement that another thread is running on this connection."""
    connection: Any = db.connection
    connection.interrupt()


def hang_up(db: BaseDatabaseWrapper) -> None:
    """There is no line."""
    interrupt(db)


def connect_within(_: BaseDatabaseWrapper, __: int) -> None:
    """A file is there at once."""


def place(db: BaseDatabaseWrapper) -> str:
    """Where the database is, for people."""
    return f"SQLite {db.settings_dict['NAME']}"


def bounded_session(_: BaseDatabaseWrapper, __: float) -> AbstractContextManager[None]:
    """Nothing to do: a file answers, or is locked for as long as the connection's ``timeout``."""
    return nullcontext()


def not_waiting(
    db: BaseDatabaseWrapper, seconds: float, statement_seconds: float | None = None
) -> AbstractContextManager[None]:
    """Nothing to do: the connection's own ``timeout`` is the bound. And no transaction, which would
    read first and then fail to write when somebody else wrote in between."""
    return nullcontext()


def was_locked(error: DatabaseError) -> bool:
    return getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
