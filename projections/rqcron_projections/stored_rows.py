"""The rows of one model in the table that holds them: the live one, or a shadow of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from django.db import DatabaseError
from django.db.models import JSONField, Model

from rqcron_events.core.codec import json_text
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

from .rows import column_names, row_reader

__all__ = ["StoredRows"]

T = TypeVar("T")

_LOADED = "_loaded"
"""Attribute of a row that was read from its table: its values there. They tell what changed; of JSON the
text, because a fold changes its lists and dicts in place."""


class StoredRows:
    """Reads and writes rows of ``model`` in the table of ``stored``, a model of the same fields."""

    def __init__(self, model: type[Model], stored: type[Model]) -> None:
        self.model = model
        self.stored = stored
        self.names = column_names(model)
        self._values = itemgetter(*self.names)
        fields = enumerate(model._meta.concrete_fields)
        self._json = [place for place, field in fields if isinstance(field, JSONField)]

    def in_order(self, by_field: Mapping[str, T]) -> list[T]:
        """What is given for each field, in the order of the columns."""
        assert by_field.keys() == set(self.names), "each field has its value, and there is no other"
        return [by_field[name] for name in self.names]

    def load(self, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        """The rows of these keys that exist."""
        db = store.connection()
        found = backend_of(db).tables.load(db, self.stored, keys)
        rows = self._read(found)
        for row, values in zip(rows, found, strict=True):
            row.__dict__[_LOADED] = values
        return {values[0]: row for row, values in zip(rows, found, strict=True)}

    def put_in_place_of(self, loaded: Model, row: Model) -> None:
        """Another row with the key of one that was loaded: saving it overwrites that."""
        row._state = loaded._state
        row.__dict__[_LOADED] = loaded.__dict__[_LOADED]

    def take(self, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        """The rows of these keys, which are in the table no more."""
        db = store.connection()
        found = backend_of(db).tables.take(db, self.stored, keys)
        return {values[0]: row for row, values in zip(self._read(found), found, strict=True)}

    def insert(self, rows: Iterable[Model]) -> None:
        """Add rows that are not there."""
        self.insert_values(self._written(rows))

    def insert_values(self, rows: Sequence[Sequence[Any]]) -> None:
        """The same from values in the order of the columns, JSON as text."""
        db = store.connection()
        backend_of(db).tables.insert(db, self.stored, rows)

    def save(self, rows: Sequence[Model]) -> None:
        """Add rows that are new, and overwrite what has changed in those that were loaded.

        Raises django.db.DatabaseError when one that was loaded is there no more.
        """
        new = [row for row in rows if row._state.adding]
        if new:
            self.insert(new)
        old = [row for row in rows if not row._state.adding]
        if not old:
            return
        before = zip(*[row.__dict__[_LOADED] for row in old], strict=True)
        after = zip(*self._written(old), strict=True)
        key, *changed = [
            (name, values)
            for place, (name, was, values) in enumerate(zip(self.names, before, after, strict=True))
            if place == 0 or values != was
        ]
        db = store.connection()
        found = backend_of(db).tables.update(db, self.stored, dict([key, *changed]))
        if found != len(old):
            raise DatabaseError(
                f"Table {self.stored._meta.db_table!r} lost {len(old) - found} rows while they were "
                "changed. Do not edit it by hand; cron_replay makes it anew."
            )

    def count(self) -> int:
        """How many there are: for small tables."""
        return self.stored._default_manager.using(store.connection().alias).count()

    def empty(self) -> None:
        """Remove all rows, without a trace of them."""
        db = store.connection()
        backend_of(db).tables.empty(db, self.stored)

    def add(self, rows: Sequence[Model]) -> None:
        """Add rows that were not read, or overwrite those that exist."""
        self.stored._default_manager.using(store.connection().alias).bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=[self.names[0]],
            update_fields=self.names[1:],
        )

    def _read(self, found: Sequence[Sequence[Any]]) -> list[Model]:
        """Rows of what the table has. All JSON of a column is parsed at once, which is far quicker."""
        read = row_reader(self.model, store.connection().alias)
        if not self._json or not found:
            return list(map(read, found))
        columns = list(zip(*found, strict=True))
        for place in self._json:
            columns[place] = tuple(json.loads(f"[{','.join(columns[place])}]"))
        return list(map(read, zip(*columns, strict=True)))

    def _written(self, rows: Iterable[Model]) -> list[Sequence[Any]]:
        """Values of rows as the table has them."""
        found = [self._values(row.__dict__) for row in rows]
        if not self._json or not found:
            return found
        columns = list(zip(*found, strict=True))
        for place in self._json:
            columns[place] = tuple(map(json_text, columns[place]))
        return list(zip(*columns, strict=True))
