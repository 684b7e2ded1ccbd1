"""What a projection is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Model

from rqcron_events.core.events import Event

__all__ = ["Fact", "Projection"]


class Fact(NamedTuple):
    """What an event says about a row that ``apply`` has not read, for ``gather``."""

    key: Hashable
    """Primary key of that row."""
    what: tuple[Any, ...]


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
    """Primary key of the row that an event is about; None: the event is not for this projection."""
    apply: Callable[[Any, Event], Sequence[Model | Fact]]
    """From the row (None: there is none yet) and an event to the rows to save, and facts.

    Pure: no database, no clock, so that a replay gives the same rows. It may change the row that
    it was given; a copy per event would be slow, and nothing is saved when it raises.
    """
    written_models: tuple[type[Model], ...] = ()
    """Further tables that ``apply`` adds rows to but never reads."""

    gathered_model: type[Model] | None = None
    """Rows whose keys only the fold knows, such as the day of an event's run."""
    gather: Callable[[Any, Hashable, Sequence[tuple[Any, ...]]], Model] | None = None
    """From such a row (or None), its key and the facts about it, in order, to the row to save.

    Called once per row and page, so that the rows are read at once. Where pages begin must not
    matter: the rows of a replay have to be the same.
    """

    @property
    def models(self) -> tuple[type[Model], ...]:
        gathered = (self.gathered_model,) if self.gathered_model else ()
        return (self.row_model, *self.written_models, *gathered)
