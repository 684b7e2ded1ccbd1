"""How large the log is, how it grows, and when the bound or the disk is reached. Reads no event of the past:
some small queries, however many events there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...conf import conf
from ...core.wording import bytes_words
from ...ledger import store
from ...ledger.backend import backend_of
from ...models import CronEvent, CronSegment

__all__ = ["LogSize", "log_size"]

GROWTH_OF = timedelta(days=7)
"""The last days are what growth is computed from."""
GROWTH_OF_MIN = timedelta(hours=1)
"""A log that is younger says nothing about a day."""
GROWTH_EVENTS_MIN = 100
WARN_DAYS = 14
"""How long before the room ends health says so."""
EARLIEST_LOOKED_AT = 100
"""Ids follow times only roughly: events may be written long after they occurred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSize:
    """In bytes, with the indexes; on SQLite, of the whole file."""

    bytes: int
    events_per_day: float | None = None
    """Over the last 7 days; None of a log that is too young. By ids, which have gaps: it is no less."""
    bytes_per_day: float | None = None
    bytes_max: int | None = None
    """The setting."""
    bytes_max_at: datetime | None = None
    """When it is reached; None: not in sight."""
    disk_free_bytes: int | None = None
    """None where the database does not tell, as PostgreSQL."""
    disk_full_at: datetime | None = None
    archived_events: int = 0
    """In segments; most of their rows are gone from the log."""
    archived_to: int = 0
    """The id of the last one."""

    def to_data(self) -> dict[str, Any]:
        return {
            "bytes": self.bytes,
            "events_per_day": _rounded(self.events_per_day),
            "bytes_per_day": _rounded(self.bytes_per_day),
            "bytes_max": self.bytes_max,
            "bytes_max_at": self.bytes_max_at.isoformat() if self.bytes_max_at else None,
            "disk_free_bytes": self.disk_free_bytes,
            "disk_full_at": self.disk_full_at.isoformat() if self.disk_full_at else None,
            "archived_events": self.archived_events,
            "archived_to": self.archived_to,
        }

    @property
    def words(self) -> str:
        """``1.2 GB, about 34 MB more a day; RQCRON_LOG_BYTES_MAX (2.0 GB) is reached about 2026-04-01``"""
        return "; ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        grows = ""
        if self.bytes_per_day is not None:
            grows = f", about {bytes_words(self.bytes_per_day)} more a day"
        yield f"{bytes_words(self.bytes)}{grows}"
        if self.archived_events:
            yield f"{self.archived_events:,} events, to event {self.archived_to}, are archived"
        if self.bytes_max is not None:
            bound = f"RQCRON_LOG_BYTES_MAX ({bytes_words(self.bytes_max)})"
            if self.bytes >= self.bytes_max:
                yield f"{bound} is exceeded"
            elif self.bytes_max_at is not None:
                yield f"{bound} is reached about {self.bytes_max_at:%Y-%m-%d}"
        if self.disk_full_at is not None:
            yield f"the disk is full about {self.disk_full_at:%Y-%m-%d}"

    def problems(self) -> list[str]:
        """One sentence if the bound is exceeded."""
        if self.bytes_max is None or self.bytes < self.bytes_max:
            return []
        told = (
            f"The log takes {bytes_words(self.bytes)}; RQCRON_LOG_BYTES_MAX is "
            f"{bytes_words(self.bytes_max)}. Make room, or raise the setting."
        )
        return [told]

    def warnings(self, now: datetime) -> list[str]:
        """What will be the matter within two weeks."""
        soon, found = now + timedelta(days=WARN_DAYS), []
        grows = f"it grows by about {bytes_words(self.bytes_per_day or 0)} a day"
        if self.bytes_max_at is not None and self.bytes_max_at < soon and not self.problems():
            found.append(
                f"The log takes {bytes_words(self.bytes)} and {grows}: RQCRON_LOG_BYTES_MAX "
                f"({bytes_words(self.bytes_max or 0)}) is reached about {self.bytes_max_at:%Y-%m-%d}."
            )
        if self.disk_full_at is not None and self.disk_full_at < soon:
            found.append(
                f"The log takes {bytes_words(self.bytes)} and {grows}: its disk, of which "
                f"{bytes_words(self.disk_free_bytes or 0)} are free, is full about {self.disk_full_at:%Y-%m-%d}."
            )
        return found


def log_size(now: datetime) -> LogSize:
    """``now`` by the database's clock. Raises Django's database errors."""
    db = store.connection()
    backend = backend_of(db)
    size, each, free = backend.log_bytes(db), backend.event_bytes(db), backend.disk_free_bytes(db)
    segment = CronSegment.objects.using(db.alias).order_by("size").last()
    events = _events_per_day(now, segment)
    growth = None if each is None or events is None else each * events
    bytes_max = conf().log_bytes_max

    def used_up(room: float) -> datetime | None:
        keep_days = conf().keep_days
        if growth and keep_days is not None and growth * keep_days <= size + room:
            return None  # by then, as much is archived as is added
        return _used_up(now, room, growth)

    return LogSize(
        bytes=size,
        events_per_day=events,
        bytes_per_day=growth,
        bytes_max=bytes_max,
        bytes_max_at=None if bytes_max is None else used_up(bytes_max - size),
        disk_free_bytes=free,
        disk_full_at=None if free is None else used_up(free),
        archived_events=segment.size if segment else 0,
        archived_to=segment.last_id if segment else 0,
    )


def _events_per_day(now: datetime, segment: CronSegment | None) -> float | None:
    """Since the newest event that is archived, where that is less than a week ago: of older ones few have rows."""
    rows = CronEvent.objects.using(store.connection().alias)
    begin = now - GROWTH_OF
    if segment is not None and segment.occurred_to is not None:
        begin = max(begin, segment.occurred_to)
    # Until now: a time that Python does not have must not end the question.
    recent = rows.filter(occurred_at__gte=begin, occurred_at__lte=now).order_by("occurred_at", "id")
    earliest = list(recent.values_list("id", "occurred_at")[:EARLIEST_LOOKED_AT])
    newest = store.newest().id
    if not earliest:
        return 0.0 if newest else None
    events = newest - min(id_ for id_, _ in earliest)
    # A log that is older has been at it since the begin, be it that nothing happened for a while.
    is_older = rows.filter(occurred_at__lt=begin).order_by("occurred_at").exists()
    since = begin if is_older else earliest[0][1]
    if now - since < GROWTH_OF_MIN or events < GROWTH_EVENTS_MIN:
        return None
    return events / ((now - since) / timedelta(days=1))


def _used_up(now: datetime, room: float, growth: float | None) -> datetime | None:
    if not growth:
        return None
    try:
        return now + timedelta(days=max(room, 0) / growth)
    except OverflowError:
        return None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
