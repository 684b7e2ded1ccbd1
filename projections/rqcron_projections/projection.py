"""What a projection is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Model

from rqcron_events.core.events import Event

from .clean_run import CleanFold, CleanRun

__all__ = ["Fact", "Projection", "never"]


class Fact(NamedTuple):
    """What an event says about a row that ``apply`` has not read, for ``gather``."""

    key: Hashable
    """Primary key of that row."""
    what: tuple[Any, ...]


def never(_: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A fold of the log into tables."""

    name: str
    """For people and for its checkpoint."""
    version: int
    """Raise it when ``apply`` or the tables change: the rows then ask for a rebuild."""
    row_model: type[Model]
    """The rows that ``apply`` reads."""
    key: Callable[[Event], Hashable | None]
    """Primary key of the row that an event is about; None or empty: it is not for this projection.
    ``attrgetter`` is quicker than a function of one's own."""
    apply: Callable[[Any, Event], Sequence[Model | Fact]]
    """From the row (None: there is none yet) and an event to the rows to save, and facts.

    Pure: no database, no clock, so that a replay gives the same rows. It may change the row that
    it was given; a copy per event would be slow, and nothing is saved when it raises.
    """
    complete: Callable[[Any], None] | None = None
    """Fills in what can be told from a row alone, just before it is saved: once for all the events
    of a page, where ``apply`` would do it for each."""
    begins: Callable[[Event], bool] = never
    """Whether an event is the first of its row, so that nobody has to look for the row."""
    settled: Callable[[Any], bool] = never
    """Whether few events will follow about a row: a replay writes it and keeps it in mind no more.
    Both are only about speed and memory: rows of other events are looked up."""
    written_models: tuple[type[Model], ...] = ()
    """Further tables that ``apply`` adds new rows to but never reads."""

    gathered_model: type[Model] | None = None
    """Rows whose keys only the fold knows, such as the day of an event's run."""
    gather: Callable[[Any, Hashable, Sequence[tuple[Any, ...]]], Model] | None = None
    """From such a row (or None), its key and the facts about it, in order, to the row to save.

    Called once per row and page, so that the rows are read at once. Where pages begin must not
    matter: the rows of a replay have to be the same.
    """
    clean: CleanFold | None = None
    """How a replay folds runs without incident. With neither this nor ``clean_values`` they are
    not for this projection."""
    clean_values: Callable[[CleanRun], Sequence[Any]] | None = None
    """The same where such a run is one new row and changes no other: its values in the order of the
    columns."""
    clean_sql: Mapping[str, str] = field(default_factory=dict)
    """The same for PostgreSQL, by column: expressions over a table whose columns are named as in
    CleanRun. The rows then never leave the database."""
    complete_gathered: Callable[[Any], None] | None = None
    """The same as ``complete``, for gathered rows: ``gather`` may leave notes on a row (attributes
    that are no fields) which this turns into its columns before the row is saved."""

    @property
    def models(self) -> tuple[type[Model], ...]:
        gathered = (self.gathered_model,) if self.gathered_model else ()
        return (self.row_model, *self.written_models, *gathered)
