"""How far the archive may go, and what holds it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from ..conf import conf
from ..core.events import OUTCOMES, EventType
from ..followers import followers
from ..ledger.snapshot import POSITION_ROW
from ..models import CronEvent, CronSeal, CronSegment, CronSnapshot
from ..seals.stored import newest_seal, seals

__all__ = ["NOTHING_OLD", "REQUESTS", "Boundary", "boundary", "last_segment", "pages_of_ids"]

REQUESTS = (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)
"""What begins a run."""
PAGE_EVENTS = 50_000
NOTHING_OLD = "No seal before the newest one has only events that were recorded before that time."


@dataclass(slots=True)
class Boundary:
    """The seal with which the archive ends, None for none; and why it is not a later one."""

    seal: CronSeal | None = None
    held: list[str] = field(default_factory=list)
    """One sentence for each thing that holds it back."""


def last_segment() -> CronSegment | None:
    return CronSegment.objects.using(conf().database).order_by("size").last()


def boundary(before: datetime) -> Boundary:
    """Events that were recorded before this time may go, up to a seal that is not the newest."""
    last = last_segment()
    archived, archived_to = (last.size, last.last_id) if last else (0, 0)
    newest = newest_seal()
    if newest is None:
        return Boundary(held=["Nothing is sealed yet, and only sealed events go: cron_seal."])
    sealed = seals().filter(size__gt=archived, size__lt=newest.size)
    found = Boundary(seal=_by_time(sealed, archived, newest.size, before))
    for name, position in _positions():
        _hold(found, sealed, position, f"{name} has read the log up to event {position} only")
    if found.seal is not None:
        _hold_for_open_run(found, sealed, archived_to)
    if found.seal is None and not found.held:
        found.held.append(NOTHING_OLD)
    return found


def _by_time(sealed: QuerySet[CronSeal], low: int, high: int, before: datetime) -> CronSeal | None:
    """The last seal whose last event was recorded before; by halves, because nearly always an event with
    a higher id was recorded later."""
    found: CronSeal | None = None
    while high - low > 1:
        seal = sealed.filter(size__lte=(low + high) // 2, size__gt=low).last()
        if seal is None:
            low = (low + high) // 2
            continue
        if _was_recorded(seal.last_id, before):
            found, low = seal, seal.size
        else:
            high = seal.size
    return found


def _was_recorded(event_id: int, before: datetime) -> bool:
    rows = CronEvent.objects.using(conf().database)
    return rows.filter(id=event_id, recorded_at__lt=before).exists()


def _positions() -> list[tuple[str, int]]:
    """Of whoever goes on from a position in the log."""
    found = [
        (f"Follower {name!r}", follower.position())
        for name, follower in followers.items()
        if follower.position is not None
    ]
    head = CronSnapshot.objects.using(conf().database).filter(name=POSITION_ROW)
    snapshot = head.values_list("position", flat=True).first()
    return found if snapshot is None else [*found, ("The snapshot of the runner", snapshot)]


def _hold(found: Boundary, sealed: QuerySet[CronSeal], last_id: int, why: str) -> None:
    """Nothing after this event may go."""
    if found.seal is None or found.seal.last_id <= last_id:
        return
    found.seal = sealed.filter(last_id__lte=last_id).last()
    found.held.append(f"{why}.")


def _hold_for_open_run(found: Boundary, sealed: QuerySet[CronSeal], archived_to: int) -> None:
    assert found.seal is not None
    ended = CronEvent.objects.using(conf().database).filter(
        run_id=OuterRef("run_id"), type__in=sorted(OUTCOMES)
    )

    def look(rows: QuerySet[CronEvent]) -> CronEvent | None:
        asked = rows.filter(type__in=REQUESTS, run_id__isnull=False)
        return asked.filter(~Exists(ended)).order_by("id").first()

    first = first_found(archived_to, found.seal.last_id, look)
    if first is not None:
        _hold(
            found,
            sealed,
            first.id - 1,
            f"Run {first.run_id} of cron {first.cron!r}, event {first.id} of "
            f"{first.occurred_at:%Y-%m-%d %H:%M:%S} UTC, is open: cron_explain --run {first.run_id}",
        )


def first_found(
    after: int, until: int, look: Callable[[QuerySet[CronEvent]], CronEvent | None]
) -> CronEvent | None:
    """Page by page, so that no statement takes long."""
    for low, high in pages_of_ids(after, until):
        rows = CronEvent.objects.using(conf().database).filter(id__gt=low, id__lte=high)
        event = look(rows)
        if event is not None:
            return event
    return None


def pages_of_ids(after: int, until: int, size: int = PAGE_EVENTS) -> list[tuple[int, int]]:
    """Stretches of ids with ``size`` events each, as the log is now."""
    found = []
    ids = CronEvent.objects.using(conf().database).order_by("id").values_list("id", flat=True)
    while after < until:
        ends = ids.filter(id__gt=after, id__lte=until)[size - 1 : size].first()
        found.append((after, until if ends is None else ends))
        after = found[-1][1]
    return found
