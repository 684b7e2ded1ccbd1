"""What differs between databases about tables of rows, such as those of a projection.

A replay moves millions of rows, so each database does it in its own quickest way.
``postgresql.tables`` and ``sqlite.tables`` are modules of this shape; ``Backend.tables`` leads to
the one that belongs to a database.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..core.clean_run.columns import CleanColumn

__all__ = ["StoreCleanRuns", "TableBackend"]


class StoreCleanRuns(Protocol):
    """Has the database find runs without incident and store them, without a way through Python."""

    def __call__(
        self,
        db: BaseDatabaseWrapper,
        table: type[Model],
        columns: Sequence[CleanColumn],
        after: int,
        until: int,
        ahead: int,
        /,
    ) -> dict[UUID, int]:
        """Add a row for each run that ``Backend.read_clean_runs`` would return; ``columns`` are in
        the order of the table's. Returns the runs and the ids of their last events."""


class TableBackend(Protocol):
    """A table is given as a Django model of its columns, the primary key first; a row is its values
    in that order, JSON as text. ``db`` is this thread's connection. Database errors are Django's."""

    def load(
        self, db: BaseDatabaseWrapper, table: type[Model], keys: Collection[Hashable], /
    ) -> list[tuple[Any, ...]]:
        """The rows of these primary keys, in any order; there may be none for a key."""

    def take(
        self, db: BaseDatabaseWrapper, table: type[Model], keys: Collection[Hashable], /
    ) -> list[tuple[Any, ...]]:
        """The same rows, which are then in the table no more."""

    def insert(
        self, db: BaseDatabaseWrapper, table: type[Model], rows: Iterable[Sequence[Any]], /
    ) -> None:
        """Add rows whose primary keys are not there yet."""

    def update(
        self, db: BaseDatabaseWrapper, table: type[Model], columns: Mapping[str, Sequence[Any]], /
    ) -> int:
        """Overwrite some columns of rows by their primary keys, each row once; returns how many of them
        were there. The values of each field by its name, the primary key first."""

    def leave_room(self, db: BaseDatabaseWrapper, table: type[Model], percent: int, /) -> None:
        """Have so much of each page left free for rows that are overwritten again and again; without room
        there, each time costs an entry in every index."""

    @property
    def store_clean_runs(self) -> StoreCleanRuns | None:
        """None where runs have to come through Python."""

    def create_shadow(
        self, db: BaseDatabaseWrapper, live: type[Model], shadow: type[Model], /
    ) -> None:
        """Make an empty temporary table ``shadow``, with the columns of ``live`` and an index on
        the primary key but no other: they would be kept up for each row, for nobody."""

    def empty(self, db: BaseDatabaseWrapper, table: type[Model], /) -> None:
        """Remove all rows of a shadow, at no cost for each."""

    def analyze(self, db: BaseDatabaseWrapper, table: type[Model], /) -> None:
        """Tell the query planner how large a shadow became, where it does not look by itself."""

    def indexes_off(
        self, db: BaseDatabaseWrapper, table: type[Model], /
    ) -> AbstractContextManager[bool]:
        """Inside a transaction, around the filling of a live table: if it is empty, lock it and
        build its indexes after the block. Yields whether it does; never waits for the lock."""
