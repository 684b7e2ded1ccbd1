"""Does the snapshot of a cron say what the log says? By index look-ups, however long the log is.

A row that is damaged is noticed when it is loaded. One that lies under the right checksum is not, and
a watermark in the future would make its cron silent.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import DECISIONS, DEFINITION_TYPES, OUTCOMES, EventType, cron_stream
from ..ledger import store
from ..ledger.reading import readable_rows
from ..ledger.snapshot import POSITION_ROW
from ..models import CronEvent, CronEventQuerySet, CronSnapshot

__all__ = ["snapshot_differences"]

RUNS_LOOKED_AT_MAX = 200
"""The newest of a cron: those of them that have not ended must be open in the snapshot, too."""


def snapshot_differences(name: str) -> list[str]:
    """In which respects the stored state of the cron differs from a fold of its events up to the
    version that the stored state claims. Empty when there is no snapshot of it."""
    rows = CronSnapshot.objects.using(conf().database)
    row = rows.filter(name=name).first()
    head = rows.filter(name=POSITION_ROW).first()
    if row is None or head is None:
        return []
    try:
        stored = CronState.from_data(name, row.state)
    except Exception as error:  # a cache may hold anything
        return [f"it cannot be read ({type(error).__name__}: {error})"]
    return list(_differences(stored, head.position))


def _differences(stored: CronState, position: int) -> Iterator[str]:
    fresh = _fold(stored.name, stored.version)
    if fresh.version != stored.version:
        yield f"it claims version {stored.version}, and the stream ends at {fresh.version}"
    if fresh.watermark != stored.watermark:
        yield f"its watermark is {stored.watermark}, and the log says {fresh.watermark}"
    if fresh.kept != stored.kept:
        yield "the slots that fired ahead of their time are not those of the log"
    if fresh.phases != stored.phases:
        yield "its definitions or pauses are not those of the log"
    asked = _own(stored.name).filter(
        type__in=(EventType.SLOT_FIRED, EventType.RUN_REQUESTED), version__lte=stored.version
    )
    newest = asked.order_by("-version").values_list("run_id", flat=True)[:RUNS_LOOKED_AT_MAX]
    looked_at = {run_id for run_id in newest if run_id is not None}
    wanted = looked_at | set(list(stored.open_runs)[:RUNS_LOOKED_AT_MAX])
    ends = _rows().filter(run_id__in=wanted, type__in=sorted(OUTCOMES))
    ended = dict(ends.order_by().values_list("run_id", "id"))
    if missing := looked_at - ended.keys() - stored.open_runs.keys():
        yield f"run {min(missing)} is open and not in it"
    for run_id in stored.open_runs.keys() & ended.keys():
        if ended[run_id] <= position:
            yield f"run {run_id} has ended and is open in it"
            return


def _fold(name: str, version: int) -> CronState:
    """As a fold of the whole stream up to there would leave it, but for the runs."""
    own = _own(name).filter(version__lte=version)
    decided = own.filter(type__in=sorted(DECISIONS)).order_by("-version")
    last, watermark = decided.values_list("version", "scheduled_for").first() or (0, None)
    definitions = _rows().filter(cron=name, type__in=DEFINITION_TYPES).order_by("id")
    state = CronState(name)
    found = readable_rows(definitions, store.connection())
    for event in found.events:
        if event.version > version:
            break
        if event.version > last and watermark is not None:
            state.advance(watermark)
            watermark = None
        state.apply(event)
    if watermark is not None:
        state.advance(watermark)
    head = own.order_by("-version").values_list("version", flat=True).first()
    state.version = max(state.version, head or 0)
    return state


def _own(name: str) -> CronEventQuerySet:
    return _rows().filter(stream=cron_stream(name))


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
