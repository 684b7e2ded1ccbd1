"""The tables: events and their texts, the snapshot cache, the lease, which events cannot be read, and seals."""

from __future__ import annotations

from .event import CronEvent, CronEventQuerySet
from .running import CronLease, CronSnapshot, QuarantinedEvent
from .seals import CronSeal, CronTile, SealProgress
from .texts import CronText, put_back, texts_of

__all__ = [
    "CronEvent",
    "CronEventQuerySet",
    "CronLease",
    "CronSeal",
    "CronSnapshot",
    "CronText",
    "CronTile",
    "QuarantinedEvent",
    "SealProgress",
    "put_back",
    "texts_of",
]
