"""Rows whose keys only the fold knows, such as that of the day which an event's run counts for.

``apply`` sees one row, that of the event's own key. What it finds out about another row it returns
as a fact; the facts of a page are gathered in their rows afterwards, so that these are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Model

__all__ = ["Fact", "Gathering", "by_row"]


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
    key_of: Callable[[Hashable], Hashable] | None = None
    """From a fact's key to that of the row, where the row gathers the facts of several keys."""
    complete: Callable[[Any], None] | None = None
    """Called just before a row is saved: ``gather`` may leave notes on it (attributes that are no
    fields) which this turns into its columns."""


def by_row(
    gathering: Gathering, facts: Mapping[Hashable, Sequence[tuple[Any, ...]]]
) -> Mapping[Hashable, Sequence[tuple[Any, ...]]]:
    """Facts by their own keys, put together by the keys of this gathering's rows."""
    if gathering.key_of is None:
        return facts
    found: dict[Hashable, list[tuple[Any, ...]]] = {}
    for key, whats in facts.items():
        found.setdefault(gathering.key_of(key), []).extend(whats)
    return found
