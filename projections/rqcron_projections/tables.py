"""Where the rows of a projection are: the live tables, or copies of the same structure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from rqcron_events import ledger
from rqcron_events.core.events import Event

from .projection import Fact, Projection

__all__ = ["Tables", "live_tables", "row_values"]

KEYS_PER_QUERY_MAX = 900
"""SQLite allowed 999 parameters for most of its life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables that a fold reads and writes."""

    projection: Projection
    stored_in: Mapping[type[Model], type[Model]]
    """For each model of the projection, the model of the table that holds its rows."""

    def fold(self, events: Iterable[Event]) -> list[Model]:
        """The rows as they are after these events; reads the tables, but writes nothing."""
        keyed = [
            (key, event) for event in events if (key := self.projection.key(event)) is not None
        ]
        rows = self._load(self.projection.row_model, {key for key, _ in keyed})
        changed: dict[tuple[type[Model], Any], Model] = {}
        facts: dict[Hashable, list[tuple[Any, ...]]] = {}
        for key, event in keyed:
            for row in self.projection.apply(rows.get(key), event):
                if isinstance(row, Fact):
                    facts.setdefault(row.key, []).append(row.what)
                    continue
                if isinstance(row, self.projection.row_model):
                    rows[key] = row
                changed[type(row), row.pk] = row
        return [*changed.values(), *self._gathered(facts)]

    def save(self, rows: Sequence[Model]) -> None:
        """Insert the rows, or overwrite those that exist."""
        for model in self.projection.models:
            changed = [row for row in rows if type(row) is model]
            if not changed:
                continue
            names = _columns(model)
            self.stored_in[model]._default_manager.using(ledger.connection().alias).bulk_create(
                changed,
                update_conflicts=True,
                unique_fields=[names[0]],
                update_fields=names[1:],
            )

    def _gathered(self, facts: Mapping[Hashable, Sequence[tuple[Any, ...]]]) -> list[Model]:
        model, gather = self.projection.gathered_model, self.projection.gather
        if model is None or gather is None:
            return []
        rows = self._load(model, facts.keys())
        return [gather(rows.get(key), key, whats) for key, whats in facts.items()]

    def _load(self, model: type[Model], keys: Collection[Hashable]) -> dict[Hashable, Model]:
        names = _columns(model)
        alias = ledger.connection().alias
        stored = self.stored_in[model]._default_manager.using(alias).order_by()
        ordered = list(keys)
        rows: dict[Hashable, Model] = {}
        for start in range(0, len(ordered), KEYS_PER_QUERY_MAX):
            found = stored.filter(pk__in=ordered[start : start + KEYS_PER_QUERY_MAX])
            for values in found.values_list(*names):
                rows[values[0]] = model.from_db(alias, names, values)
        return rows


def live_tables(projection: Projection) -> Tables:
    return Tables(projection=projection, stored_in={model: model for model in projection.models})


def row_values(row: Model) -> dict[str, Any]:
    """The row as a dict, its primary key first."""
    return {name: getattr(row, name) for name in _columns(type(row))}


def _columns(model: type[Model]) -> list[str]:
    """Names of the fields, the primary key first, as each model here declares them."""
    return [field.attname for field in model._meta.concrete_fields]
