"""The ledger's connection, after a user's function had it.

The function shares it where the ledger is in the project's database. It may leave a transaction
open, in which an outcome would be lost, or a session in which nothing can be written: another role,
a read-only transaction, a ``statement_timeout`` of a millisecond.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from django.db import connections

from ..ledger import store

__all__ = ["has_open_transaction", "open_blocks", "renew"]

log = logging.getLogger(__name__)


def open_blocks() -> int:
    """How many ``atomic`` blocks this thread is in: one or more in tests, and in eager queues."""
    return len(store.connection().atomic_blocks)


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
    connections[db.alias] = connections.create_connection(db.alias)
