"""Rows whose keys only the fold knows, such as that of the day which an event's run counts for.

``apply`` sees one row, that of the event's own key. What it finds out about another row it returns
as a fact; the facts of a page are gathered in their rows afterwards, so that these are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Model

__all__ = ["Fact", "Gathering"]


class Fact(NamedTuple):
    """What an event says about a row that ``apply`` has not read."""

    key: Hashable
    """Primary key of that row."""
    what: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """How facts get into rows."""

    row_model: type[Model]
    """The rows; the primary key is the first field."""
    gather: Callable[[Any, Hashable, Sequence[tuple[Any, ...]]], Model]
    """From such a row (or None), its key and the facts about it, in order, to the row to save.

    Called once per row and page. Where pages begin must not matter: the rows of a replay have to be
    the same.
    """
    complete: Callable[[Any], None] | None = None
    """Called just before a row is saved: ``gather`` may leave notes on it (attributes that are no
    fields) which this turns into its columns."""
