"""The rows of one model in the table that holds them: the live one, or a shadow of it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from django.db import DatabaseError
from django.db.models import Model

from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

from .rows import column_names, row_reader

__all__ = ["StoredRows"]

T = TypeVar("T")


class StoredRows:
    """Reads and writes rows of ``model`` in the table of ``stored``, a model of the same fields."""

    def __init__(self, model: type[Model], stored: type[Model]) -> None:
        self.model = model
        self.stored = stored
        self.names = column_names(model)
        self._values = itemgetter(*self.names)

    def in_order(self, by_field: Mapping[str, T]) -> list[T]:
        """What is given for each field, in the order of the columns."""
        assert by_field.keys() == set(self.names), "each field has its value, and there is no other"
        return [by_field[name] for name in self.names]

    def load(self, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        """The rows of these keys that exist."""
        db = store.connection()
        return self._by_key(backend_of(db).tables.load(db, self.stored, keys))

    def take(self, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        """The rows of these keys, which are in the table no more."""
        db = store.connection()
        return self._by_key(backend_of(db).tables.take(db, self.stored, keys))

    def insert(self, rows: Iterable[Model]) -> None:
        """Add rows that are not there."""
        self.insert_values([self._values(row.__dict__) for row in rows])

    def insert_values(self, rows: Sequence[Sequence[Any]]) -> None:
        """The same from values in the order of the columns."""
        db = store.connection()
        backend_of(db).tables.insert(db, self.stored, rows)

    def save(self, rows: Sequence[Model]) -> None:
        """Add rows that are new, and overwrite those that were read from this table.

        Raises django.db.DatabaseError when one that was read is there no more.
        """
        new = [row for row in rows if row._state.adding]
        if new:
            self.insert(new)
        old = [self._values(row.__dict__) for row in rows if not row._state.adding]
        if not old:
            return
        db = store.connection()
        found = backend_of(db).tables.update(db, self.stored, old)
        if found != len(old):
            raise DatabaseError(
                f"Table {self.stored._meta.db_table!r} lost {len(old) - found} rows while they were "
                "changed. Do not edit it by hand; cron_replay makes it anew."
            )

    def add(self, rows: Sequence[Model]) -> None:
        """Add rows that were not read, or overwrite those that exist."""
        self.stored._default_manager.using(store.connection().alias).bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=[self.names[0]],
            update_fields=self.names[1:],
        )

    def _by_key(self, rows: Iterable[tuple[Any, ...]]) -> dict[Hashable, Model]:
        read = row_reader(self.model, store.connection().alias)
        return {values[0]: read(values) for values in rows}
