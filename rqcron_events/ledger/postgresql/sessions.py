"""Sessions of PostgreSQL: further ones, those that hang, and what they may wait for."""

from __future__ import annotations

import copy
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from psycopg import Error
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
from psycopg.pq import TransactionStatus

__all__ = [
    "connect_within",
    "hang_up",
    "in_one_session",
    "interrupt",
    "is_pooled",
    "leave_pool",
    "new_session",
    "not_waiting",
    "place",
    "second_connection",
    "was_locked",
    "without_pool",
]

CANCEL_SECONDS_MAX = 2.0


@contextmanager
def second_connection(db: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper | None]:
    """For reading in another thread; None when it would not see what this one sees, or when the
    server or a pool has none to give."""
    # A small pool may have none left but the one that its caller holds, and waits with it.
    if db.in_atomic_block or is_pooled(db):
        yield None
        return
    second = without_pool(db)
    second.inc_thread_sharing()
    try:
        second.ensure_connection()
    except DatabaseError:
        yield None
        return
    try:
        yield second
    finally:
        second.close()


@contextmanager
def in_one_session(db: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction: poolers that change sessions do it between two of them."""
    outermost = not db.in_atomic_block
    with transaction.atomic(using=db.alias):
        if outermost:  # a snapshot, as the settings may ask for, would hide what others commit
            with db.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield


def is_pooled(db: BaseDatabaseWrapper) -> bool:
    """Whether the process that the server named at first is another than the one that answers.

    PgBouncer and most others name one that does not exist; one that passes on a true id is not
    seen while it happens to give the same session."""
    with db.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        answers = cursor.fetchone()[0]
    connection: Any = db.connection
    return bool(connection.info.backend_pid != answers)


def leave_pool(db: BaseDatabaseWrapper) -> None:
    """Give this thread a connection of its own where it would take one out of Django's pool."""
    if db.settings_dict["OPTIONS"].get("pool"):
        db.close()
        connections[db.alias] = without_pool(db)


def without_pool(db: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Another connection with settings of its own. A thread that works for long gains nothing from a pool, and one of one has none to give."""
    settings: Any = copy.copy(db.settings_dict)
    settings["OPTIONS"] = {k: v for k, v in settings["OPTIONS"].items() if k != "pool"}
    return type(db)(settings, db.alias)


def new_session(db: BaseDatabaseWrapper) -> None:
    """Leave this thread's session, with all that was set in it, for a new one."""
    # Closed for good: a pool would keep it, and give it to the next.
    with suppress(Exception):
        cast(Any, db.connection).close()
    with suppress(Exception):
        db.close()
    # A wrapper of its own, too: those of django-tenants remember the schema.
    connections[db.alias] = type(db)(db.settings_dict, db.alias)


def interrupt(db: BaseDatabaseWrapper) -> None:
    """End the statement that another thread is running on this connection."""
    connection: Any = db.connection
    try:
        # ``cancel`` keeps the interpreter until the server answers, and so does this where libpq is older than 17.
        connection.cancel_safe(timeout=CANCEL_SECONDS_MAX)
    except Error:
        hang_up(db)


def hang_up(db: BaseDatabaseWrapper) -> None:
    """Take the line from under a statement. No timeout of the server's helps when that is frozen, and a
    client without a bound waits for its answer for ever."""
    connection: Any = db.connection
    if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def connect_within(db: BaseDatabaseWrapper, seconds: int) -> None:
    """This thread's next connection is out of no pool, and is there within so many seconds, or not at all."""
    own = without_pool(db)
    options = own.settings_dict["OPTIONS"]
    options["connect_timeout"] = min(int(options.get("connect_timeout") or seconds), seconds)
    db.close()
    connections[db.alias] = own


def place(db: BaseDatabaseWrapper) -> str:
    """Where the database is, for people; without user or password."""
    given = db.settings_dict
    where = ":".join(str(given[key]) for key in ("HOST", "PORT") if given.get(key))
    return f"{db.display_name} {given['NAME']} at {where or 'the local socket'}"


@contextmanager
def not_waiting(
    db: BaseDatabaseWrapper, seconds: float, statement_seconds: float | None = None
) -> Iterator[None]:
    nested = db.in_atomic_block
    with in_one_session(db), db.cursor() as cursor:
        # For this transaction only: behind a pooler the session is not ours.
        timeouts = {"lock_timeout": f"{seconds * 1000:.0f}ms"}
        if statement_seconds is not None:
            timeouts["statement_timeout"] = f"{statement_seconds * 1000:.0f}ms"
        before = _settings(cursor, timeouts) if nested else {}
        _set_in_transaction(cursor, timeouts)
        yield
        # The rest of the transaction is the caller's; after an error it has its own back.
        if before:
            _set_in_transaction(cursor, before)


def _settings(cursor: CursorWrapper, names: Collection[str]) -> dict[str, str]:
    cursor.execute(f"SELECT {', '.join(['current_setting(%s)'] * len(names))}", list(names))
    return dict(zip(names, cursor.fetchone(), strict=True))


def _set_in_transaction(cursor: CursorWrapper, values: Mapping[str, str]) -> None:
    cursor.execute(
        f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(values))}",
        [text for item in values.items() for text in item],
    )


def was_locked(error: DatabaseError) -> bool:
    # QueryCanceled: a statement_timeout of the role's is shorter.
    return isinstance(error.__cause__, LockNotAvailable | DeadlockDetected | QueryCanceled)
