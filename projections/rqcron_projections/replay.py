"""The fold of a replay: rows are in memory while events come for them, then in the tables."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import islice

from django.db.models import Model

from rqcron_events.core.events import Event

from .stored_rows import StoredRows
from .tables import Tables

__all__ = ["Replay"]

ROWS_MAX = 20_000
"""Rows in memory of one projection. Beyond it the oldest are written; should an event come for
one of them, it is read again."""


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

    def fold(self, events: Sequence[Event]) -> None:
        key_of, apply = self._projection.key, self._projection.apply
        begins, row_model = self._projection.begins, self._projection.row_model
        rows, written = self._rows, []
        asked = False
        for number, event in enumerate(events):
            key = key_of(event)
            if not key:
                continue
            row = rows.get(key)
            if row is None and not asked and not begins(event):
                # Once per page: whatever the rest of it is about and is not in memory.
                asked = True
                self._fetch(events[number:])
                row = rows.get(key)
            saved = apply(row, event)
            if len(saved) == 1 and saved[0] is row:
                continue  # what nearly all events do: change the row that is in memory
            for changed in saved:
                if not isinstance(changed, row_model):
                    written.append(changed)
                elif row is None:
                    rows[key] = changed
        for model, stored in self._written.items():
            if added := [row for row in written if type(row) is model]:
                stored.insert(added)
        self._forget()

    def flush(self) -> None:
        """Write all that is in memory."""
        self._write(list(self._rows))

    def _fetch(self, events: Sequence[Event]) -> None:
        keys = {key for event in events if (key := self._projection.key(event))}
        self._rows.update(self._stored.take(keys - self._rows.keys()))

    def _forget(self) -> None:
        settled = self._projection.settled
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
