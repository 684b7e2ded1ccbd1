"""Where the rows of a projection are: the live tables, or copies of the same structure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model

from rqcron_events.core.events import Event

from .fold_failed import FoldFailed
from .gathering import Fact, by_row
from .projection import Projection
from .retention.late import of_removed_rows
from .rows import row_values
from .stored_rows import StoredRows

__all__ = ["Tables", "live_tables", "row_values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables that a fold reads and writes."""

    projection: Projection
    stored_in: Mapping[type[Model], type[Model]]
    """For each model of the projection, the model of the table that holds its rows."""
    kept_from: datetime | None = None
    """Of the live tables: older rows may have been removed."""

    def fold(self, events: Iterable[Event]) -> list[Model]:
        """The rows as they are after these events; reads the tables, but writes nothing.

        Raises FoldFailed when the projection cannot fold one of them.
        """
        projection = self.projection
        keyed = [(key, event) for event in events if (key := projection.key(event))]
        if not keyed:
            return []
        stored = self.rows_of(projection.row_model)
        loaded = stored.load({key for key, _ in keyed})
        rows = dict(loaded)
        if projection.retention is not None and self.kept_from is not None:
            gone = of_removed_rows(projection.retention, self.kept_from, keyed, rows)
            keyed = [pair for pair in keyed if pair[0] not in gone]
        changed: dict[tuple[type[Model], Any], Model] = {}
        facts: dict[Hashable, list[tuple[Any, ...]]] = {}
        for key, event in keyed:
            try:
                saved = projection.apply(rows.get(key), event)
            except Exception as error:
                raise FoldFailed(projection.name, event, error) from error
            for row in saved:
                if isinstance(row, Fact):
                    facts.setdefault(row.key, []).append(row.what)
                    continue
                if isinstance(row, projection.row_model):
                    rows[key] = row
                changed[type(row), row.pk] = row
        for row in changed.values():
            if isinstance(row, projection.row_model):
                if row.pk in loaded and row is not loaded[row.pk]:
                    stored.put_in_place_of(loaded[row.pk], row)
                if projection.complete is not None:
                    projection.complete(row)
        return [*changed.values(), *self._gathered(facts)]

    def save(self, rows: Sequence[Model]) -> None:
        """Insert the rows, or overwrite those that exist."""
        for model in self.projection.models:
            if changed := [row for row in rows if type(row) is model]:
                stored = self.rows_of(model)
                if model in self.projection.written_models:
                    stored.add(changed)
                else:
                    stored.save(changed)

    def rows_of(self, model: type[Model]) -> StoredRows:
        return StoredRows(model, self.stored_in[model])

    def _gathered(self, facts: Mapping[Hashable, Sequence[tuple[Any, ...]]]) -> list[Model]:
        saved: list[Model] = []
        for gathering in self.projection.gathering if facts else ():
            keyed = by_row(gathering, facts)
            rows = self.rows_of(gathering.row_model).load(keyed.keys())
            gathered = [gathering.gather(rows.get(key), key, whats) for key, whats in keyed.items()]
            if gathering.complete is not None:
                for row in gathered:
                    gathering.complete(row)
            saved += gathered
        return saved


def live_tables(projection: Projection, kept_from: datetime | None = None) -> Tables:
    return Tables(
        projection=projection,
        stored_in={model: model for model in projection.models},
        kept_from=kept_from,
    )
