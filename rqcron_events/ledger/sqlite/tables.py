"""Tables of rows on SQLite: Django converts the values, which are as quick to store as any."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, JSONField, Model, TextField
from django.db.models.functions import Cast

from ..table_backend import StoreCleanRuns

KEYS_PER_QUERY_MAX = 900
"""SQLite allowed 999 parameters for most of its life."""

store_clean_runs: StoreCleanRuns | None = None
"""Runs come through Python: SQLite's own reading of decimals may differ in the last bit."""


def load(
    db: BaseDatabaseWrapper, table: type[Model], keys: Collection[Hashable]
) -> list[tuple[Any, ...]]:
    """The rows of these primary keys."""
    names = [
        Cast(field.attname, TextField()) if isinstance(field, JSONField) else field.attname
        for field in table._meta.concrete_fields
    ]
    stored = table._default_manager.using(db.alias).order_by()
    return [
        row for chunk in _chunks(keys) for row in stored.filter(pk__in=chunk).values_list(*names)
    ]


def take(
    db: BaseDatabaseWrapper, table: type[Model], keys: Collection[Hashable]
) -> list[tuple[Any, ...]]:
    """The same rows, which are then in the table no more."""
    rows = load(db, table, keys)
    for chunk in _chunks(row[0] for row in rows):
        table._default_manager.using(db.alias).filter(pk__in=chunk).delete()
    return rows


def insert(db: BaseDatabaseWrapper, table: type[Model], rows: Iterable[Sequence[Any]]) -> None:
    """Add rows whose primary keys are not there yet."""
    quote = db.ops.quote_name
    fields = table._meta.concrete_fields
    values = _adapted(db, fields, rows)
    columns = ", ".join(quote(str(field.column)) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    # In a transaction, because each row would be one of its own.
    with transaction.atomic(using=db.alias, savepoint=False), db.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {quote(table._meta.db_table)} ({columns}) VALUES ({marks})",  # noqa: S608
            values,
        )


def update(
    db: BaseDatabaseWrapper, table: type[Model], columns: Mapping[str, Sequence[Any]]
) -> int:
    """Overwrite some columns of rows by their primary keys; returns how many of them were there."""
    quote = db.ops.quote_name
    by_name = {field.attname: field for field in table._meta.concrete_fields}
    fields = [by_name[name] for name in columns]
    key, *others = (quote(str(field.column)) for field in fields)
    new = ", ".join(f"{name} = %s" for name in others) or f"{key} = {key}"
    rows = zip(*columns.values(), strict=True)
    values = [[*row[1:], row[0]] for row in _adapted(db, fields, rows)]
    with transaction.atomic(using=db.alias, savepoint=False), db.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {quote(table._meta.db_table)} SET {new} WHERE {key} = %s",  # noqa: S608
            values,
        )
        return int(cursor.rowcount)


def leave_room(_: BaseDatabaseWrapper, __: type[Model], ___: int) -> None:
    """Nothing: a row is overwritten in its place."""


def _adapted(
    db: BaseDatabaseWrapper, fields: Sequence[Field[Any, Any]], rows: Iterable[Sequence[Any]]
) -> list[list[Any]]:
    """The values as the database takes them."""
    stored = [
        _as_it_is if isinstance(field, JSONField) else field.get_db_prep_save for field in fields
    ]
    return [[adapt(value, db) for adapt, value in zip(stored, row, strict=True)] for row in rows]


def _as_it_is(value: Any, _: BaseDatabaseWrapper) -> Any:
    return value


def create_shadow(db: BaseDatabaseWrapper, live: type[Model], shadow: type[Model]) -> None:
    """Make an empty temporary table with the columns of ``live``."""
    quote = db.ops.quote_name
    name, source = quote(shadow._meta.db_table), quote(live._meta.db_table)
    key = quote(str(shadow._meta.concrete_fields[0].column))
    index = quote(f"{shadow._meta.db_table}_key")
    with db.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {source} WHERE 0"  # noqa: S608
        )
        cursor.execute(f"CREATE UNIQUE INDEX temp.{index} ON {name} ({key})")


def empty(db: BaseDatabaseWrapper, table: type[Model]) -> None:
    """Remove all rows: SQLite drops their pages as a whole."""
    with db.cursor() as cursor:
        cursor.execute(f"DELETE FROM {db.ops.quote_name(table._meta.db_table)}")  # noqa: S608


def analyze(db: BaseDatabaseWrapper, table: type[Model]) -> None:
    """Nothing: the primary key is the index to take, and there is no other."""


def indexes_off(_: BaseDatabaseWrapper, __: type[Model]) -> AbstractContextManager[bool]:
    """Never: a table is filled with its indexes in place."""
    return nullcontext(False)


def _chunks(keys: Iterable[Hashable]) -> Iterator[list[Hashable]]:
    left = iter(keys)
    while chunk := list(islice(left, KEYS_PER_QUERY_MAX)):
        yield chunk
