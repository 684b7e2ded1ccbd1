"""The fold of a replay: rows are in memory while events come for them, then in the tables."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db.models import Model

from rqcron_events.core.clean_run.columns import row_maker
from rqcron_events.core.events import Event

from ..fold_failed import FoldFailed
from ..gathering import Fact, Gathering, by_row
from ..replay_hints import CleanFold, CleanRow
from ..stored_rows import StoredRows
from ..tables import Tables
from .clean_run import CleanEnd, Item, Page

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
        clean = self._projection.replay.clean
        self._clean_fold = clean if isinstance(clean, CleanFold) else None
        self._clean_row = (
            row_maker(self._stored.in_order(clean.columns)) if isinstance(clean, CleanRow) else None
        )
        self._gathered = [_Gathered(tables, item) for item in self._projection.gathering]

    def fold(self, page: Page) -> None:
        """Go on by a page. Call :meth:`flush` before the tables are read."""
        if page.clean and self._clean_row is not None:
            self._stored.insert_values(list(map(self._clean_row, page.clean)))
        saved = _Saved(self._rows, self._projection.row_model)
        if self._clean_fold is None:
            self._fold_events(page.others, saved)
        else:
            self._fold_crons(page.by_cron, self._clean_fold, saved)
        for model, stored in self._written.items():
            if added := [row for row in saved.written if type(row) is model]:
                stored.insert(added)
        for gathered in self._gathered:
            gathered.add(saved.facts)
        self._forget()

    def _fold_events(self, events: Sequence[Event], saved: _Saved) -> None:
        key_of, apply = self._projection.key, self._projection.apply
        begins = self._projection.replay.begins or _never
        rows = self._rows
        fetched = False
        for number, event in enumerate(events):
            key = key_of(event)
            if not key:
                continue
            row = rows.get(key)
            if row is None and not fetched and not begins(event):
                # Once per page: whatever the rest of it is about and is not in memory.
                fetched = True
                self._fetch({key_of(event) for event in events[number:]} - {None, ""})
                row = rows.get(key)
            try:
                changed = apply(row, event)
            except Exception as error:
                raise FoldFailed(self._projection.name, event, error) from error
            saved.add(changed, row)

    def _fold_crons(
        self, by_cron: Mapping[str, Sequence[Item]], clean: CleanFold, saved: _Saved
    ) -> None:
        key_of, apply = self._projection.key, self._projection.apply
        rows = self._rows
        self._fetch(by_cron.keys())
        for cron, items in by_cron.items():
            for item in items:
                row = rows.get(cron)
                if isinstance(item, list):
                    saved.add(clean.stretch(row, item), row)
                elif isinstance(item, Event):
                    if key_of(item):
                        try:
                            changed = apply(row, item)
                        except Exception as error:
                            raise FoldFailed(self._projection.name, item, error) from error
                        saved.add(changed, row)
                elif isinstance(item, CleanEnd):
                    saved.add(clean.end(row, item.run), row)
                else:
                    saved.add(clean.begin(row, item), row)

    def flush(self) -> None:
        """Write all that is in memory."""
        self._write(list(self._rows))
        for gathered in self._gathered:
            gathered.write(0)

    def count_rows(self) -> int:
        """In memory and in the table."""
        return len(self._rows) + self._stored.count()

    @contextmanager
    def rows_in_table(self) -> Iterator[None]:
        """In the block all rows are in their table. They come back into memory at once if no others are
        there: read one by one, each would leave a dead version, and all in one transaction."""
        rows = dict(self._rows)
        are_all = not self._stored.count()
        self._write(list(rows))
        yield
        if are_all:
            self._stored.empty()
            self._rows.update(rows)

    def _fetch(self, keys: Collection[Hashable | None]) -> None:
        if missing := set(keys) - self._rows.keys():
            self._rows.update(self._stored.take(missing))

    def _forget(self) -> None:
        settled = self._projection.replay.settled
        if settled is not None:
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


def _never(_: Event) -> bool:
    return False


class _Saved:
    """What the folds of a page want to be saved."""

    def __init__(self, rows: dict[Hashable, Model], row_model: type[Model]) -> None:
        self.written: list[Model] = []
        self.facts: dict[Hashable, list[tuple[Any, ...]]] = {}
        self._rows = rows
        self._row_model = row_model

    def add(self, saved: Sequence[Any], row: Model | None) -> None:
        """``row`` is the one that the fold was given."""
        for changed in saved:
            if changed is row:
                continue  # it is in memory
            if type(changed) is Fact:
                self.facts.setdefault(changed.key, []).append(changed.what)
            elif isinstance(changed, self._row_model):
                self._rows[changed.pk] = changed
            else:
                self.written.append(changed)


class _Gathered:
    """The rows that facts are gathered in: also either in memory or in their table."""

    def __init__(self, tables: Tables, gathering: Gathering) -> None:
        self._stored = tables.rows_of(gathering.row_model)
        self._gathering = gathering
        self._gather = gathering.gather
        self._complete = gathering.complete
        self._rows: dict[Hashable, Model] = {}

    def add(self, facts: Mapping[Hashable, Sequence[tuple[Any, ...]]]) -> None:
        """Those of one page."""
        facts = by_row(self._gathering, facts)
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
