"""What a projection is: a name, the rows it keeps, and how an event changes a row.

Read this file to write one; ``folds/runners.py`` is the smallest example, and its line in
``projector.PROJECTIONS`` is all that it takes. The last fields can wait: ``gathering`` is for
rows that an event does not name, ``past``, ``retention`` and ``replay`` are for logs of millions of events.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Model

from rqcron_events.core.events import Event

from .gathering import Fact, Gathering
from .replay_hints import ReplayHints
from .retention.rule import Retention

__all__ = ["PastModels", "Projection"]


class PastModels(NamedTuple):
    """Tables of rows as they were: ``past.kept`` fills them now and then."""

    rows: type[Model]
    """Its fields: key, position, latest_at, and those of the projection's rows."""
    positions: type[Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A fold of the log into tables."""

    name: str
    """For people and for its checkpoint."""
    version: int
    """Raise it when ``apply`` or the tables change: the rows then ask for a rebuild."""
    row_model: type[Model]
    """The rows that ``apply`` reads; the primary key is the first field."""
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
    written_models: tuple[type[Model], ...] = ()
    """Further tables that ``apply`` adds new rows to but never reads."""
    gathering: tuple[Gathering, ...] = ()
    """What becomes of the facts that ``apply`` returns: each is gathered by all of these."""
    past: PastModels | None = None
    """For questions about the past, where the rows are crons."""
    retention: Retention | None = None
    """Which of the rows are removed after RQCRON_RUN_DAYS; None: they stay."""
    replay: ReplayHints = field(default_factory=ReplayHints)
    """What makes a replay quick. The rows are the same without."""

    @property
    def models(self) -> tuple[type[Model], ...]:
        gathered = (item.row_model for item in self.gathering)
        return (self.row_model, *self.written_models, *gathered, *(self.past or ()))
