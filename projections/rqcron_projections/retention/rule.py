"""Which rows are old."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from rqcron_events.conf import conf
from rqcron_events.core.events import Event

__all__ = ["Retention", "wanted_from"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For rows that are runs, by their ids. What has not ended stays, however old it is."""

    at: str
    """The field with the row's time."""
    status: str
    ended: frozenset[str]
    """Its values of rows that no event changes any more."""
    begins: Callable[[Event], bool]
    """Whether an event is the first of its row."""

    def old(self, kept_from: datetime) -> Q:
        return Q(**{f"{self.at}__lt": kept_from, f"{self.status}__in": sorted(self.ended)})

    def old_sql(self, db: BaseDatabaseWrapper, kept_from: datetime) -> tuple[str, list[Any]]:
        """The same as a condition of SQL, with its values."""
        quote, ended = db.ops.quote_name, sorted(self.ended)
        marks = ", ".join(["%s"] * len(ended))
        condition = f"({quote(self.at)} < %s AND {quote(self.status)} IN ({marks}))"
        return condition, [db.ops.adapt_datetimefield_value(kept_from), *ended]


def wanted_from(now: datetime) -> datetime | None:
    """Rows of before may go, by the setting; None: all stay."""
    days = conf().run_days
    return None if days is None else now - timedelta(days=days)
