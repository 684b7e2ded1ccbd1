"""The rows of one model in the table that holds them: the live one, or a shadow of it.

A replay moves millions of rows. So on PostgreSQL they go past Django, which converts each value
in Python: in by COPY, out in the binary format. On SQLite Django does it all.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from django.db.models import JSONField, Model
from psycopg import Cursor
from psycopg.types.json import Jsonb

from rqcron_events.ledger import store

from .rows import column_names, row_reader

__all__ = ["StoredRows"]

KEYS_PER_QUERY_MAX = 900
"""SQLite allowed 999 parameters for most of its life."""


class StoredRows:
    """Reads and writes rows of ``model`` in the table of ``stored``, a model of the same fields."""

    def __init__(self, model: type[Model], stored: type[Model]) -> None:
        self.model = model
        self.stored = stored
        self.names = column_names(model)
        self._values = itemgetter(*self.names)
        self._json = [
            number
            for number, field in enumerate(model._meta.concrete_fields)
            if isinstance(field, JSONField)
        ]
        fields = stored._meta.concrete_fields
        self._table = f'"{stored._meta.db_table}"'
        self._columns = ", ".join(f'"{field.column}"' for field in fields)
        self._key = f'"{fields[0].column}"'
        db = store.connection()
        self._types = [str(field.db_type(db)).partition("(")[0] for field in fields]

    def load(self, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        """The rows of these keys that exist."""
        if store.connection().vendor == "postgresql":
            return self._query(
                f"SELECT {self._columns} FROM {self._table} WHERE {self._key} = ANY(%s)",  # noqa: S608
                keys,
            )
        return self._by_key(row for chunk in _chunks(keys) for row in self._chosen(chunk))

    def take(self, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        """The rows of these keys, which are in the table no more."""
        if store.connection().vendor == "postgresql":
            return self._query(
                f"DELETE FROM {self._table} WHERE {self._key} = ANY(%s) RETURNING {self._columns}",  # noqa: S608
                keys,
            )
        rows = self.load(keys)
        alias = store.connection().alias
        for chunk in _chunks(rows):
            self.stored._default_manager.using(alias).filter(pk__in=chunk).delete()
        return rows

    def insert(self, rows: Sequence[Model]) -> None:
        """Add rows that are not there."""
        db = store.connection()
        if db.vendor != "postgresql":
            self.stored._default_manager.using(db.alias).bulk_create(rows)
            return
        statement = f"COPY {self._table} ({self._columns}) FROM STDIN (FORMAT BINARY)"
        with (
            db.cursor() as cursor,
            db.wrap_database_errors,
            cursor.copy(statement) as copy,
        ):
            copy.set_types(self._types)  # the binary format converts nothing by itself
            for row in rows:
                copy.write_row(self._adapted(row))

    def insert_values(self, rows: Iterable[Sequence[Any]]) -> None:
        """The same from values in the order of the columns."""
        self.insert(list(map(row_reader(self.stored, store.connection().alias), rows)))

    def insert_statement(self, values: Mapping[str, str], source: str) -> str:
        """SQL for the same: from expressions by column, over another table."""
        assert list(values) == self.names, "each column has its value"
        select = ", ".join(values.values())
        return f"INSERT INTO {self._table} ({self._columns}) SELECT {select} FROM {source}"  # noqa: S608

    def save(self, rows: Sequence[Model]) -> None:
        """Add the rows, or overwrite those that exist."""
        self.stored._default_manager.using(store.connection().alias).bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=[self.names[0]],
            update_fields=self.names[1:],
        )

    def _adapted(self, row: Model) -> Sequence[Any]:
        if not self._json:
            values: tuple[Any, ...] = self._values(row.__dict__)
            return values
        adapted = list(self._values(row.__dict__))
        for number in self._json:
            adapted[number] = Jsonb(adapted[number])
        return adapted

    def _query(self, statement: str, keys: Collection[Hashable]) -> dict[Hashable, Model]:
        db = store.connection()
        db.ensure_connection()
        connection: Any = db.connection
        with db.wrap_database_errors, Cursor(connection) as cursor:
            cursor.execute(statement, [list(keys)], binary=True)
            return self._by_key(cursor.fetchall())

    def _chosen(self, keys: list[Hashable]) -> Iterable[tuple[Any, ...]]:
        found = self.stored._default_manager.using(store.connection().alias).order_by()
        return found.filter(pk__in=keys).values_list(*self.names)

    def _by_key(self, rows: Iterable[tuple[Any, ...]]) -> dict[Hashable, Model]:
        read = row_reader(self.model, store.connection().alias)
        return {values[0]: read(values) for values in rows}


def _chunks(keys: Iterable[Hashable]) -> Iterator[list[Hashable]]:
    left = iter(keys)
    while chunk := list(islice(left, KEYS_PER_QUERY_MAX)):
        yield chunk
