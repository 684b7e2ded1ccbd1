"""Events that a reader went on without, until they can be read or somebody accepts them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from .. import clock
from ..conf import conf
from ..core.codec import Unreadable
from ..core.wording import clause
from ..models import QuarantinedEvent

__all__ = ["RUNNER", "problem_texts", "quarantined", "release", "set_aside"]

log = logging.getLogger(__name__)

RUNNER = "runner"
"""The reader that folds the states of crons."""
LINES_MAX = 5
"""Of a list for people; ``cron_quarantine`` has them all."""
ROWS_PER_STATEMENT = 500


def set_aside(reader: str, unreadable: Sequence[Unreadable]) -> None:
    """Note that ``reader`` goes on without these events; a second time changes nothing."""
    if not unreadable:
        return
    now = clock.now()
    for item in unreadable[:LINES_MAX]:
        log.error(
            "%s goes on without %s. See cron_quarantine.",
            reader,
            clause(item),
            extra={
                "action": "event_set_aside",
                "reader": reader,
                "event_id": item.id,
                "stream": item.stream,
            },
        )
    if len(unreadable) > LINES_MAX:
        log.error(
            "%s goes on without %d more events. See cron_quarantine.",
            reader,
            len(unreadable) - LINES_MAX,
            extra={"action": "event_set_aside", "reader": reader},
        )
    QuarantinedEvent.objects.using(conf().database).bulk_create(
        [
            QuarantinedEvent(
                reader=reader,
                event_id=item.id,
                stream=item.stream[:300],
                cron=item.cron[:200],
                error=f"{item.type}: {item.error}".replace("\0", ""),
                noticed_at=now,
            )
            for item in unreadable
        ],
        batch_size=ROWS_PER_STATEMENT,
        ignore_conflicts=True,
    )


def quarantined(reader: str | None = None, cron: str | None = None) -> list[QuarantinedEvent]:
    """What is set aside, in the order of the log."""
    rows = QuarantinedEvent.objects.using(conf().database).order_by("event_id", "reader")
    if reader is not None:
        rows = rows.filter(reader=reader)
    if cron is not None:
        rows = rows.filter(cron=cron)
    return list(rows)


def release(event_ids: Iterable[int], reader: str | None = None) -> int:
    """Forget that these events were set aside; returns how many rows that were."""
    rows = QuarantinedEvent.objects.using(conf().database).filter(event_id__in=list(event_ids))
    if reader is not None:
        rows = rows.filter(reader=reader)
    return rows.delete()[0]


def problem_texts(rows: Sequence[QuarantinedEvent] | None = None) -> list[str]:
    """A sentence for each event that cannot be read, of the first few, and how many more."""
    by_event: dict[int, list[QuarantinedEvent]] = {}
    for row in quarantined() if rows is None else rows:
        by_event.setdefault(row.event_id, []).append(row)
    texts = [
        f"Event {event_id} of {found[0].stream} cannot be read by "
        f"{', '.join(row.reader for row in found)} ({found[0].error.rstrip('.')}). "
        "See cron_quarantine."
        for event_id, found in list(by_event.items())[:LINES_MAX]
    ]
    if len(by_event) > LINES_MAX:
        texts.append(
            f"{len(by_event) - LINES_MAX} more events cannot be read. See cron_quarantine."
        )
    return texts
