"""The table in which an attempt began: its end has to reach the same one.

A user's function may leave its session in another schema, such as a tenant's, that has the ledger's
tables as well. The database says with each insert which table took it, so noticing costs nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ...errors import LedgerUnavailable

__all__ = ["Home", "note", "writing_to"]


@dataclass(slots=True)
class Home:
    """A table, as the database identifies it; None until the first event is written."""

    table: Hashable | None = None


_home: ContextVar[Home | None] = ContextVar("rqcron_home", default=None)


@contextmanager
def writing_to(home: Home) -> Iterator[None]:
    """Events that the block writes go to this table: the first one tells which it is."""
    token = _home.set(home)
    try:
        yield
    finally:
        _home.reset(token)


def note(table: Hashable) -> None:
    """Events went into this table. Raises LedgerUnavailable, so that they do not stay there, when
    it is another one than before."""
    home = _home.get()
    if home is None:
        return
    if home.table is None:
        home.table = table
    elif home.table != table:
        raise LedgerUnavailable(
            f"This session writes to another table rqcron_event (oid {table}) than the one in which "
            f"the attempt began (oid {home.table}): the function has changed search_path. Set it "
            "back before the function returns."
        )
