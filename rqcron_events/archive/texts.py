"""Whose texts they are that stand in the database while their events are in segments only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from ..core.codec import Row
from ..ledger import store
from ..models import CronEvent, CronSegment, CronText
from ..seals.segments import rows_of, segments

__all__ = ["archived_with_texts"]


def archived_with_texts(
    run_id: UUID | None, cron: str, since: datetime | None, until: datetime | None
) -> Iterator[tuple[int, UUID | None]]:
    """The events of this run, of this cron and of this range of time that have texts and are in no row of
    the log: their ids and runs. What is None or empty leaves that side open.

    Reads only segments that have such events. Raises SegmentUnavailable where one is out of reach.
    """
    alias = store.connection().alias
    texts = CronText.objects.using(alias)
    in_log = CronEvent.objects.using(alias).filter(id=OuterRef("event_id"))
    needle = _needle(run_id, cron)
    for segment in segments():
        if _is_out_of(segment, since, until):
            continue
        own = texts.filter(event_id__gte=segment.first_id, event_id__lte=segment.last_id)
        ids = set(own.filter(~Exists(in_log)).values_list("event_id", flat=True))
        if not ids:
            continue
        for row in rows_of(segment, needle):
            if row[0] in ids and _is_of(row, run_id, cron, since, until):
                yield row[0], UUID(bytes=row[6]) if row[6] else None


def _needle(run_id: UUID | None, cron: str) -> bytes:
    """In the line of each event that is looked for; empty: in all."""
    if run_id is not None:
        return b'"run_id":"' + str(run_id).encode()
    return b'"cron":' + json.dumps(cron, ensure_ascii=False).encode() if cron else b""


def _is_out_of(segment: CronSegment, since: datetime | None, until: datetime | None) -> bool:
    first, last = segment.occurred_from, segment.occurred_to
    too_old = since is not None and last is not None and last < since
    return too_old or (until is not None and first is not None and first >= until)


def _is_of(
    row: Row, run_id: UUID | None, cron: str, since: datetime | None, until: datetime | None
) -> bool:
    at = row[11]
    return (
        (run_id is None or row[6] == run_id.bytes)
        and (not cron or row[5] == cron)
        and (since is None or (at is not None and at >= since))
        and (until is None or (at is not None and at < until))
    )
