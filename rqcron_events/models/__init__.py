"""The tables: events and their texts, the snapshot cache, the lease, which events cannot be read, seals, segments."""

from __future__ import annotations

from .event import CronEvent, CronEventQuerySet
from .running import CronLease, CronSnapshot, QuarantinedEvent
from .seals import CronSeal, CronSegment, CronTile, SealProgress
from .texts import CronText, put_back, texts_of

__all__ = [
    "CronEvent",
    "CronEventQuerySet",
    "CronLease",
    "CronSeal",
    "CronSegment",
    "CronSnapshot",
    "CronText",
    "CronTile",
    "QuarantinedEvent",
    "SealProgress",
    "put_back",
    "texts_of",
]
