"""What the spans of a page of the log are made of: its runs from their beginning, and their crons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from rqcron_events.core.events import Event, run_stream
from rqcron_events.ledger import store
from rqcron_events.ledger.reading import readable_rows
from rqcron_events.models import CronEvent

from ...models import CronJob
from ...report.names import present_name
from .spans import REQUESTS, OfCron

__all__ = ["crons_of", "runs_of"]

PER_QUERY_MAX = 500


def runs_of(run_ids: Iterable[UUID], page: Iterable[Event]) -> dict[UUID, list[Event]]:
    """All events of each run in order, as far as they can be read. Most runs lie in the page as a whole;
    the log is asked for the others."""
    found: dict[UUID, list[Event]] = {run_id: [] for run_id in run_ids}
    for event in page:
        if event.run_id in found:
            found[event.run_id].append(event)
    parts = [run_id for run_id, events in found.items() if not _is_whole(run_id, events)]
    db = store.connection()
    for start in range(0, len(parts), PER_QUERY_MAX):
        some = parts[start : start + PER_QUERY_MAX]
        rows = CronEvent.objects.using(db.alias).filter(run_id__in=some).order_by("id")
        found.update({run_id: [] for run_id in some})
        for event in readable_rows(rows, db, texts=True).events:
            if event.run_id in found:
                found[event.run_id].append(event)
    return found


def _is_whole(run_id: UUID, events: Sequence[Event]) -> bool:
    stream = run_stream(run_id)
    versions = [event.version for event in events if event.stream == stream]
    begins = any(event.type in REQUESTS for event in events)
    return begins and versions == list(range(1, len(versions) + 1))


def crons_of(names: Iterable[str]) -> Mapping[str, OfCron]:
    """By stored name; one that no projection knows yet has nothing but that."""
    wanted = sorted(set(names))
    found = {name: OfCron(name=name) for name in wanted}
    jobs = CronJob.objects.using(store.connection().alias)
    for start in range(0, len(wanted), PER_QUERY_MAX):
        for job in jobs.filter(name__in=wanted[start : start + PER_QUERY_MAX]):
            found[job.name] = OfCron(
                name=present_name(job),
                queue=job.queue,
                expression=str(job.definition.get("expression") or ""),
            )
    return found
