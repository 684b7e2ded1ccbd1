"""The ledger's connection, after a user's function had it.

The function shares it where the ledger is in the project's database. It may leave a transaction
open, in which an outcome would be lost, or a session in which nothing can be written: another role,
a read-only transaction, a ``statement_timeout`` of a millisecond.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, InterfaceError, connections

from ...core.wording import clause
from ...errors import LedgerUnavailable
from ...ledger import store
from ...ledger.backend import backend_of
from ...ledger.doors.home import Home

__all__ = [
    "append_end",
    "disconnect",
    "has_open_transaction",
    "no_session_left",
    "open_blocks",
    "renew",
]

log = logging.getLogger(__name__)


def open_blocks() -> int:
    """How many ``atomic`` blocks this thread is in: one or more in tests, and in eager queues."""
    try:
        return len(store.connection().atomic_blocks)
    except Exception:  # a wrong setting is reported when the event is written
        return 0


@contextmanager
def no_session_left() -> Iterator[None]:
    """Where the ledger is not connected, whatever connects to it meanwhile is closed at the end.

    RQ runs some callbacks in the worker's parent process. A connection that stays open there would be
    shared by every work-horse that is forked later; so would one of Django's pool, which closing only
    gives back.
    """
    db = store.connection()
    if db.connection is not None:
        yield
        return
    backend_of(db).leave_pool(db)
    try:
        yield
    finally:
        disconnect()
        connections[db.alias] = db


def disconnect() -> None:
    """Close the ledger's connection, unless the caller has a transaction on it."""
    try:
        db = store.connection()
        if not db.in_atomic_block:
            db.close()
    except Exception as error:
        log.debug(
            "Closing the ledger's connection failed: %s",
            error,
            extra={"action": "session_not_closed"},
        )


def has_open_transaction(blocks_before: int) -> bool:
    """Whether more is open on the connection than there was before."""
    db = store.connection()
    if len(db.atomic_blocks) != blocks_before or (db.needs_rollback and not blocks_before):
        return True
    switched_off = not db.autocommit and db.settings_dict["AUTOCOMMIT"]
    return db.connection is not None and not db.in_atomic_block and switched_off


def renew() -> None:
    """Another connection in place of this one, whatever is open on it; the server rolls that back."""
    db = store.connection()
    if db.connection is not None:
        with suppress(Exception):  # it may be broken
            db.connection.close()
        with suppress(Exception):
            db.close()  # a pool that misses it would have none in its place
    connections[db.alias] = connections.create_connection(db.alias)


def append_end(
    append: Callable[[], None], *, blocks: int | None, home: Home | None, cron: str
) -> None:
    """Append in the function's session, if that still is as it was, and otherwise in a new one: it
    may be left in another schema or role, read-only, or in a transaction.

    ``blocks`` and ``home`` are what the attempt began with; None when it began in another process.
    """
    if blocks is not None and has_open_transaction(blocks):
        renew()
    db = store.connection()
    home_is_unknown = home is not None and home.table is None
    if db.in_atomic_block or not home_is_unknown:
        try:
            append()
            return
        except (DatabaseError, InterfaceError, LedgerUnavailable) as error:
            if db.in_atomic_block:
                raise
            log.warning(
                "The session that cron %s used cannot record its end (%s); trying a new one.",
                cron,
                clause(error),
                extra={"action": "session_left", "cron": cron},
            )
    backend_of(db).new_session(db)
    append()
