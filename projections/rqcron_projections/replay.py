"""The fold of a replay: rows are in memory while events come for them, then in the tables."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any

from django.db.models import Model

from rqcron_events.core.events import Event

from .plain_run import Item, PlainEnd
from .projection import Fact, never
from .stored_rows import StoredRows
from .tables import Tables

__all__ = ["Replay"]

ROWS_MAX = 20_000
"""Rows in memory of one projection. Beyond it the oldest are written; should an event come for
one of them, it is read again."""
GATHERED_ROWS_MAX = 5_000
"""The same of rows that facts are gathered in, which are larger: up to some 10 KB each."""


class Replay:
    """Folds pages of the log into tables that nobody else reads.

    A row is either in memory or in its table, never in both: so nothing is ever overwritten, and
    rows go in by COPY. Call :meth:`flush` before the tables are read.
    """

    def __init__(self, tables: Tables) -> None:
        self._projection = tables.projection
        self._stored: StoredRows = tables.rows_of(self._projection.row_model)
        self._written = {model: tables.rows_of(model) for model in self._projection.written_models}
        self._rows: dict[Hashable, Model] = {}
        gathered = self._projection.gathered_model
        self._gathered = _Gathered(tables, gathered) if gathered is not None else None

    def fold(self, items: Sequence[Item]) -> None:
        key_of, apply = self._projection.key, self._projection.apply
        begins, row_model = self._projection.begins, self._projection.row_model
        plain = self._projection.plain
        rows, written = self._rows, []
        facts: dict[Hashable, list[tuple[Any, ...]]] = {}
        asked = False
        for number, item in enumerate(items):
            fold: Callable[[Any, Any], Sequence[Any]] | None
            told: Any
            if isinstance(item, Event):
                fold, told, key = apply, item, key_of(item)
                if not key:
                    continue
                lookup = not begins(item)
            elif plain is None:
                continue
            else:
                if isinstance(item, PlainEnd):
                    fold, told = plain.end, item.run
                else:
                    fold, told = plain.begin, item
                if fold is None:
                    continue
                key = plain.key(told)
                lookup = key is not None
            row = rows.get(key)
            if row is None and lookup and not asked:
                # Once per page: whatever the rest of it is about and is not in memory.
                asked = True
                self._fetch(items[number:])
                row = rows.get(key)
            saved = fold(row, told)
            if len(saved) == 1 and saved[0] is row:
                continue  # what nearly all events do: change the row that is in memory
            for changed in saved:
                if type(changed) is Fact:
                    facts.setdefault(changed.key, []).append(changed.what)
                elif isinstance(changed, row_model):
                    rows[changed.pk] = changed
                elif isinstance(changed, Model):
                    written.append(changed)
        for model, stored in self._written.items():
            if added := [row for row in written if type(row) is model]:
                stored.insert(added)
        if self._gathered is not None:
            self._gathered.add(facts)
        self._forget()

    def flush(self) -> None:
        """Write all that is in memory."""
        self._write(list(self._rows))
        if self._gathered is not None:
            self._gathered.write(0)

    def _fetch(self, items: Sequence[Item]) -> None:
        keys = {key for item in items if (key := self._key(item))}
        self._rows.update(self._stored.take(keys - self._rows.keys()))

    def _key(self, item: Item) -> Hashable | None:
        if isinstance(item, Event):
            return self._projection.key(item)
        if self._projection.plain is None:
            return None
        return self._projection.plain.key(item.run if isinstance(item, PlainEnd) else item)

    def _forget(self) -> None:
        settled = self._projection.settled
        if settled is not never:
            self._write([key for key, row in self._rows.items() if settled(row)])
        if len(self._rows) > ROWS_MAX:
            self._write(list(islice(self._rows, len(self._rows) - ROWS_MAX // 2)))

    def _write(self, keys: Sequence[Hashable]) -> None:
        if not keys:
            return
        rows = [self._rows.pop(key) for key in keys]
        if self._projection.complete is not None:
            for row in rows:
                self._projection.complete(row)
        self._stored.insert(rows)


class _Gathered:
    """The rows that facts are gathered in: also either in memory or in their table."""

    def __init__(self, tables: Tables, model: type[Model]) -> None:
        self._stored = tables.rows_of(model)
        assert tables.projection.gather is not None
        self._gather = tables.projection.gather
        self._complete = tables.projection.complete_gathered
        self._rows: dict[Hashable, Model] = {}

    def add(self, facts: Mapping[Hashable, Sequence[tuple[Any, ...]]]) -> None:
        """Those of one page."""
        self._rows.update(self._stored.take(facts.keys() - self._rows.keys()))
        for key, whats in facts.items():
            self._rows[key] = self._gather(self._rows.get(key), key, whats)
        if len(self._rows) > GATHERED_ROWS_MAX:
            self.write(GATHERED_ROWS_MAX // 2)

    def write(self, kept: int) -> None:
        """Write the oldest rows, all but so many."""
        keys = list(islice(self._rows, len(self._rows) - kept))
        if not keys:
            return
        rows = [self._rows.pop(key) for key in keys]
        if self._complete is not None:
            for row in rows:
                self._complete(row)
        self._stored.insert(rows)
