"""Removing texts of events: those that somebody asks for, and those that are too old.

The facts of an event stay, and so does the hash of its text. Each removal is an event itself, which does not
tell what the text was.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from .. import clock
from ..archive.texts import archived_with_texts
from ..conf import conf
from ..core.events import EventType, make
from ..core.events.keys import REMOVED, UNTIL_EVENT
from ..core.words.apart import FIELDS
from ..errors import CronConfigError
from ..ledger import store
from ..models import CronEvent, CronEventQuerySet, CronText
from ..process.actor import actor_name
from ..process.failpoints import reach
from .controls import bounded_reason

__all__ = ["Wanted", "expire_texts", "expire_when_due", "redact"]

log = logging.getLogger(__name__)

TEXTS_PER_EVENT = 200
"""Of one step, and so of one event."""
PAGE_TEXTS = 2_000
IDS_PER_QUERY = 500
EXPIRE_EVERY_SECONDS = 3_600.0
EXPIRING_ACTOR = "text_expiry"

_next_at = float("-inf")
"""Monotonic seconds; of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which texts. What is not given leaves that side open; something has to be."""

    run_id: UUID | None = None
    cron: str = ""
    """Its stored name."""
    pattern: re.Pattern[str] | None = None
    """Found anywhere in the text."""
    fields: Sequence[str] = FIELDS
    since: datetime | None = None
    """Of events that occurred at or after."""
    until: datetime | None = None
    """Of events that occurred before."""


def redact(
    wanted: Wanted,
    *,
    reason: str,
    by: str | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Remove the texts that are wanted, 200 at a time, and say so in the log; how many they are.

    What was removed until it is interrupted stays removed, and is in the log. With ``dry_run`` they are
    only counted. Raises CronConfigError when nothing says which, or why; SegmentUnavailable where events whose
    texts these may be are archived out of reach.
    """
    if wanted.run_id is None and not wanted.cron and wanted.pattern is None:
        raise CronConfigError(
            "Say which texts: of a run, of a cron, or those that match a pattern."
        )
    why = bounded_reason(reason).strip()
    if not why and not dry_run:
        raise CronConfigError("A removal is final. Say why.")
    removed = 0
    for texts in _batches(wanted):
        if not dry_run:
            _remove(texts, wanted.run_id, why, actor_name(by))
        removed += len(texts)
        if progress is not None:
            progress(removed)
    return removed


def _remove(texts: Sequence[CronText], run_id: UUID | None, reason: str, actor: str) -> None:
    db = store.connection()
    ids = sorted({text.event_id for text in texts})
    runs = CronEvent.objects.filter(id__in=ids, run_id__isnull=False)
    run_ids = list(runs.order_by("run_id").values_list("run_id", flat=True).distinct())
    if run_id is not None:  # an archived one is not in the log
        run_ids = [run_id]
    with transaction.atomic(using=db.alias):
        rows = CronText.objects.using(db.alias).filter(id__in=[text.id for text in texts])
        removed, _ = rows.delete()
        reach("redacting")
        if removed:  # somebody else may have been first
            store.append_next(
                [
                    make.text_redacted(
                        event_ids=ids,
                        run_ids=[str(run_id) for run_id in run_ids],
                        removed=removed,
                        reason=reason,
                        actor=actor,
                        at=clock.now(),
                    )
                ]
            )
    reach("redacted")


def _batches(wanted: Wanted) -> Iterator[list[CronText]]:
    batch: list[CronText] = []
    for text in _matching(wanted):
        batch.append(text)
        if len(batch) == TEXTS_PER_EVENT:
            yield batch
            batch = []
    if batch:
        yield batch


def _matching(wanted: Wanted) -> Iterator[CronText]:
    events = _events(wanted)
    rows = CronText.objects.using(conf().database).filter(field__in=list(wanted.fields))
    if events is not None:
        rows = rows.filter(event_id__in=events.order_by().values("id"))
    yield from _pages(rows, wanted.pattern)
    if events is not None:
        yield from _archived(wanted)


def _archived(wanted: Wanted) -> Iterator[CronText]:
    """Of events that are in the archive only: their texts are still here."""
    rows = CronText.objects.using(conf().database).filter(field__in=list(wanted.fields))
    found = archived_with_texts(wanted.run_id, wanted.cron, wanted.since, wanted.until)
    while ids := [event_id for event_id, _ in islice(found, IDS_PER_QUERY)]:
        yield from _pages(rows.filter(event_id__in=ids), wanted.pattern)


def _pages(rows: QuerySet[CronText], pattern: re.Pattern[str] | None) -> Iterator[CronText]:
    last = 0
    while page := list(rows.filter(id__gt=last).order_by("id")[:PAGE_TEXTS]):
        last = page[-1].id
        for text in page:
            if pattern is None or pattern.search(text.text):
                yield text


def _events(wanted: Wanted) -> CronEventQuerySet | None:
    """Whose texts; None: of all."""
    rows = CronEvent.objects.using(conf().database).between(wanted.since, wanted.until)
    if wanted.run_id is not None:
        rows = rows.for_run(wanted.run_id)
    if wanted.cron:
        rows = rows.for_cron(wanted.cron)
    nothing_said = wanted.run_id is None and not wanted.cron
    return None if nothing_said and wanted.since is None and wanted.until is None else rows


def expire_when_due() -> int:
    """Once an hour: remove texts that are older than RQCRON_TEXT_DAYS, 200 at a time; how many."""
    global _next_at
    days, now = conf().text_days, clock.monotonic_seconds()
    if days is None or now < _next_at:
        return 0
    removed = _expire_some(clock.now() - timedelta(days=days))
    if not removed:
        _next_at = now + EXPIRE_EVERY_SECONDS
    return removed


def expire_texts(before: datetime) -> int:
    """Remove the texts that were stored before, and say so in the log once; how many were removed now.

    The event is written together with the first removal, and speaks of all: who is interrupted has not
    said too little, and the next one says what is left.
    """
    removed = 0
    while done := _expire_some(before):
        removed += done
    return removed


def _expire_some(before: datetime) -> int:
    db = store.connection()
    texts = CronText.objects.using(db.alias)
    old = list(texts.filter(stored_at__lt=before).order_by("id")[:TEXTS_PER_EVENT])
    if not old:
        return 0
    with transaction.atomic(using=db.alias):
        removed, _ = texts.filter(id__in=[text.id for text in old]).delete()
        if not _is_said(max(text.event_id for text in old)):
            all_of_them = texts.filter(stored_at__lt=before)
            newest = all_of_them.order_by("-id").values_list("event_id", flat=True).first()
            event = make.texts_expired(
                before=before,
                until_event=max(newest or 0, *(text.event_id for text in old)),
                removed=removed + all_of_them.count(),
                actor=EXPIRING_ACTOR,
                at=clock.now(),
            )
            store.append_next([event])
            log.info(
                "%d texts are older than RQCRON_TEXT_DAYS and go.",
                event.data[REMOVED],
                extra={"action": "texts_expired"},
            )
        reach("expiring")
    return removed


def _is_said(event_id: int) -> bool:
    """Whether the newest event of this kind speaks of the texts of this event, too."""
    said = CronEvent.objects.using(conf().database).of_type(EventType.TEXTS_EXPIRED)
    newest = said.order_by("-occurred_at", "-id").first()
    return newest is not None and int(newest.data.get(UNTIL_EVENT, 0)) >= event_id
