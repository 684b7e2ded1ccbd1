"""Tables of rows on PostgreSQL: in by COPY, out in the binary format, past Django."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, JSONField, Model
from psycopg.errors import LockNotAvailable
from psycopg.sql import Literal
from psycopg.types.json import Jsonb

from ...core.clean_run.columns import CleanColumn, Elapsed, OfRun
from ...core.clean_run.run import CleanRun
from .array_text import array_text
from .clean_runs import CLEAN_RUNS, grouping_cursor
from .cursor import psycopg_cursor

# Bandit takes these for injections: what goes into a statement are names of a model, quoted.
# ruff: noqa: S608


def load(
    db: BaseDatabaseWrapper, table: type[Model], keys: Collection[Hashable]
) -> list[tuple[Any, ...]]:
    """The rows of these primary keys."""
    return _rows(
        db,
        f"SELECT {_read(db, table)} FROM {_name(db, table)} WHERE {_is_of(db, table)}",
        keys,
    )


def take(
    db: BaseDatabaseWrapper, table: type[Model], keys: Collection[Hashable]
) -> list[tuple[Any, ...]]:
    """The same rows, which are then in the table no more."""
    return _rows(
        db,
        f"DELETE FROM {_name(db, table)} WHERE {_is_of(db, table)} RETURNING {_read(db, table)}",
        keys,
    )


def insert(db: BaseDatabaseWrapper, table: type[Model], rows: Iterable[Sequence[Any]]) -> None:
    """Add rows whose primary keys are not there yet."""
    fields = table._meta.concrete_fields
    json = [number for number, field in enumerate(fields) if isinstance(field, JSONField)]
    statement = f"COPY {_name(db, table)} ({_columns(db, table)}) FROM STDIN (FORMAT BINARY)"
    with db.cursor() as cursor, db.wrap_database_errors, cursor.copy(statement) as copy:
        # The binary format converts nothing by itself.
        copy.set_types([_type(db, field) for field in fields])
        for row in _with_json(rows, json) if json else rows:
            copy.write_row(row)


def update(
    db: BaseDatabaseWrapper, table: type[Model], columns: Mapping[str, Sequence[Any]]
) -> int:
    """In one statement, with an array for each column: it needs no table to begin with, so no session
    has to stay, and no catalog grows."""
    by_name = {field.attname: field for field in table._meta.concrete_fields}
    fields = [by_name[name] for name in columns]
    names = [db.ops.quote_name(str(field.column)) for field in fields]
    types = [_type(db, field) for field in fields]
    new = ", ".join(f"{name} = new.{name}" for name in names[1:] or names)
    given = ", ".join(f"%t::{type_}[]" for type_ in types)
    statement = (
        f"UPDATE {_name(db, table)} AS old SET {new} "
        f"FROM unnest({given}) AS new ({', '.join(names)}) WHERE old.{names[0]} = new.{names[0]}"
    )
    with psycopg_cursor(db) as cursor:
        cursor.execute(statement.encode(), list(map(array_text, columns.values())))
        return cursor.rowcount


def leave_room(db: BaseDatabaseWrapper, table: type[Model], percent: int) -> None:
    """For rows that come from now on, and for versions of rows."""
    _run(db, f"ALTER TABLE {_name(db, table)} SET (fillfactor = {100 - percent})")


def _type(db: BaseDatabaseWrapper, field: Field[Any, Any]) -> str:
    return str(field.db_type(db)).partition("(")[0]


def _with_json(rows: Iterable[Sequence[Any]], places: Sequence[int]) -> Iterator[Sequence[Any]]:
    for row in rows:
        adapted = list(row)
        for place in places:
            adapted[place] = Jsonb(adapted[place], str)
        yield adapted


def store_clean_runs(
    db: BaseDatabaseWrapper,
    table: type[Model],
    columns: Sequence[CleanColumn],
    after: int,
    until: int,
    ahead: int,
) -> dict[UUID, int]:
    """Add a row for each run without incident; returns the runs and the ids of their last events."""
    statement = f"""
        WITH clean ({", ".join(CleanRun._fields)}) AS MATERIALIZED ({CLEAN_RUNS}),
            stored AS (
                INSERT INTO {_name(db, table)} ({_columns(db, table)})
                SELECT {", ".join(map(_expression, columns))} FROM clean
            )
        SELECT run_id, last_id FROM clean
    """
    with grouping_cursor(db) as cursor:
        bounds = {"after": after, "until": until, "ahead": ahead}
        cursor.execute(statement.encode(), bounds, binary=True)
        return dict(cursor.fetchall())


def _expression(column: CleanColumn) -> str:
    match column:
        case OfRun(field):
            return field
        case Elapsed(since, until):
            return f"GREATEST(EXTRACT(EPOCH FROM {until} - {since}), 0)::float8"
        case _:
            return Literal(column).as_string().replace("%", "%%")  # psycopg reads % as a mark


def create_shadow(db: BaseDatabaseWrapper, live: type[Model], shadow: type[Model]) -> None:
    """Make an empty temporary table with the columns of ``live``."""
    name = _name(db, shadow)
    _run(db, f"CREATE TEMPORARY TABLE {name} (LIKE {_name(db, live)})")
    _run(db, f"ALTER TABLE {name} ADD PRIMARY KEY ({_key(db, shadow)})")


def empty(db: BaseDatabaseWrapper, table: type[Model]) -> None:
    """A deletion would leave dead versions, which nothing removes from a temporary table."""
    _run(db, f"TRUNCATE {_name(db, table)}")


def analyze(db: BaseDatabaseWrapper, table: type[Model]) -> None:
    """PostgreSQL never looks at temporary tables by itself, and plans badly without figures."""
    # How many rows, and their keys: figures of wide columns take long and tell nothing.
    _run(db, f"ANALYZE {_name(db, table)} ({_key(db, table)})")


@contextmanager
def indexes_off(db: BaseDatabaseWrapper, table: type[Model]) -> Iterator[bool]:
    """Building indexes afterwards takes half the time of keeping them up row by row, but it locks
    readers out: only for an empty table, in which they would find nothing. Yields whether it is
    one, and ours until the end of the transaction."""
    name = _name(db, table)
    if not _locked_while_empty(db, name):
        yield False
        return
    names = ", ".join(f"'{index.name}'" for index in table._meta.indexes)
    which = (
        f"FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        f"WHERE indrelid = '{name}'::regclass AND relname IN ({names or 'NULL'}) ORDER BY relname"
    )
    definitions = _found(db, f"SELECT pg_get_indexdef(indexrelid) {which}")
    for index in _found(db, f"SELECT indexrelid::regclass::text {which}"):
        _run(db, f"DROP INDEX {index}")
    yield True
    for definition in definitions:
        _run(db, definition)


def _locked_while_empty(db: BaseDatabaseWrapper, name: str) -> bool:
    """False when the table has rows, when it belongs to another role of the database, and when
    somebody else holds it: who waits for this lock makes all later readers wait behind it."""
    owner = (
        f"SELECT 1 FROM pg_class WHERE oid = '{name}'::regclass AND pg_has_role(relowner, 'USAGE')"
    )
    has_rows = f"SELECT 1 FROM {name} LIMIT 1"
    if _found(db, has_rows) or not _found(db, owner):
        return False
    try:
        with transaction.atomic(using=db.alias):
            _run(db, f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE NOWAIT")
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            return False
        raise
    return not _found(db, has_rows)


def _name(db: BaseDatabaseWrapper, table: type[Model]) -> str:
    return db.ops.quote_name(table._meta.db_table)


def _key(db: BaseDatabaseWrapper, table: type[Model]) -> str:
    return db.ops.quote_name(str(table._meta.concrete_fields[0].column))


def _columns(db: BaseDatabaseWrapper, table: type[Model]) -> str:
    fields = table._meta.concrete_fields
    return ", ".join(db.ops.quote_name(str(field.column)) for field in fields)


def _read(db: BaseDatabaseWrapper, table: type[Model]) -> str:
    """The columns as they are read: JSON is parsed by whoever wants it, many at once."""
    return ", ".join(
        f"{db.ops.quote_name(str(field.column))}{'::text' if isinstance(field, JSONField) else ''}"
        for field in table._meta.concrete_fields
    )


def _is_of(db: BaseDatabaseWrapper, table: type[Model]) -> str:
    """One parameter: the text of an array of primary keys."""
    return f"{_key(db, table)} = ANY(%t::{_type(db, table._meta.concrete_fields[0])}[])"


def _rows(
    db: BaseDatabaseWrapper, statement: str, keys: Collection[Hashable]
) -> list[tuple[Any, ...]]:
    with psycopg_cursor(db) as cursor:
        cursor.execute(statement.encode(), [array_text(keys)], binary=True)
        return cursor.fetchall()


def _run(db: BaseDatabaseWrapper, statement: str) -> None:
    with db.cursor() as cursor:
        cursor.execute(statement)


def _found(db: BaseDatabaseWrapper, statement: str) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]
