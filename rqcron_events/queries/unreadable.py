"""What an audit finds of events that cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..conf import conf
from ..core.audit.findings import FINDINGS_KEPT_MAX, Finding, Wrong
from ..core.codec import Unreadable
from ..core.cron_state import CronState
from ..ledger import store
from ..ledger.quarantine import quarantined
from ..ledger.reading import not_accepted, readable_rows
from ..models import CronEvent, CronEventQuerySet

__all__ = ["fold_definitions", "set_aside"]


def fold_definitions(
    state: CronState, definitions: CronEventQuerySet, head: int
) -> Iterator[Finding]:
    """Fold what can be; tells what cannot."""
    found = readable_rows(definitions, store.connection())
    failed: list[Unreadable] = []
    for event in found.events:
        try:
            if event.version <= head:
                state.apply(event)
        except Exception as error:  # it concerns this event; the rest of the cron is audited
            failed.append(Unreadable.event(event, error))
    for item in (*found.unreadable, *not_accepted(store.connection(), failed)):
        yield Finding(
            kind=Wrong.UNREADABLE,
            stream=item.stream,
            version=item.version,
            text=f"{item}",
            run_id=item.run_id,
        )


def set_aside(name: str, told: Collection[Finding]) -> Iterator[Finding]:
    """What readers of the log came upon elsewhere, such as in the streams of runs."""
    streams = {(item.stream, item.version) for item in told}
    rows = {row.event_id: row for row in quarantined(cron=name)}
    versions = dict(
        CronEvent.objects.using(conf().database)
        .filter(id__in=list(rows)[:FINDINGS_KEPT_MAX])
        .values_list("id", "version")
    )
    for event_id, row in rows.items():
        if (row.stream, versions.get(event_id)) not in streams:
            yield Finding(
                kind=Wrong.UNREADABLE,
                stream=row.stream,
                version=versions.get(event_id),
                text=str(row),
            )
