"""What health says of single runs: those that RQ does not take, and those of which it tells nothing."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from .. import clock
from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import OUTCOMES, EventType, Reason, cron_stream
from ..core.events.keys import NOT_BEFORE
from ..core.wording import clause
from ..core.words.apart import GONE, MESSAGE
from ..errors import QueueUnusable
from ..execution.enqueuer import Enqueuer
from ..models import CronEvent, CronEventQuerySet, texts_of

__all__ = ["open_runs", "out_of_reach", "refused", "refused_runs"]

REFUSED_LOOKED_AT_MAX = 200
LOOKS_MAX = 10
CAUSES_TOLD_MAX = 10
CRONS_TOLD_MAX = 5
OPEN_RUNS_LOOKED_AT_MAX = 50
"""The newest runs of a cron."""
_ASKED = (EventType.SLOT_FIRED, EventType.RUN_REQUESTED)
_IN_RQ = (EventType.RUN_ENQUEUED, EventType.RUN_STARTED)
_TAKEN = (*_IN_RQ, *sorted(OUTCOMES))


def refused(cron: str = "") -> list[str]:
    """A sentence for each cause for which RQ takes no job for some runs, or for some of this cron."""
    causes: dict[str, list[CronEvent]] = {}
    rows = [row for row in refused_runs() if cron in ("", row.cron)]
    said = texts_of(conf().database, [row.id for row in rows])
    for row in rows:
        message = said.get(row.id, {}).get(MESSAGE)
        causes.setdefault(clause(message.text if message else GONE), []).append(row)
    texts = [_refused_text(cause, rows) for cause, rows in list(causes.items())[:CAUSES_TOLD_MAX]]
    if len(causes) > CAUSES_TOLD_MAX:
        texts.append(
            f"RQ refuses the jobs of other runs for {len(causes) - CAUSES_TOLD_MAX} more causes."
        )
    return texts


def _refused_text(cause: str, rows: list[CronEvent]) -> str:
    crons = list(dict.fromkeys(row.cron for row in rows))
    others = ", ".join(repr(name) for name in crons[1:CRONS_TOLD_MAX])
    if len(crons) > CRONS_TOLD_MAX:
        others += f" and {len(crons) - CRONS_TOLD_MAX} more"
    return (
        f"RQ refuses the jobs of {len(rows)}{' or more' * (len(rows) >= REFUSED_LOOKED_AT_MAX)} "
        f"run{'s' * (len(rows) != 1)}, such as {rows[0].run_id} of cron {rows[0].cron!r}"
        f"{f' (others: {others})' if others else ''}: {cause}. They are enqueued when the cause is "
        "gone."
    )


def refused_runs() -> list[CronEvent]:
    """The newest refusals of runs that are still not in RQ, one for each run: the newest runs of all,
    and of crons that are not among them, so that many of one cron hide no other."""
    newest = _rows().of_type(EventType.ENQUEUE_FAILED).filter(reason=Reason.REFUSED)
    newest = newest.order_by("-occurred_at")
    found: dict[UUID | None, CronEvent] = {}
    seen: set[str] = set()
    for _ in range(LOOKS_MAX):
        rows = list(newest.exclude(cron__in=seen)[:REFUSED_LOOKED_AT_MAX])
        for row in rows:
            found.setdefault(row.run_id, row)
        seen |= {row.cron for row in rows}
        if len(rows) < REFUSED_LOOKED_AT_MAX:
            break
    later = _rows().filter(run_id__in=list(found), type__in=_TAKEN).order_by()
    taken = set(later.values_list("run_id", flat=True))
    return [row for run_id, row in found.items() if run_id not in taken]


def out_of_reach(states: Iterable[CronState]) -> list[str]:
    """A sentence for each queue that cannot be used, and that open runs are in by the log."""
    crons: dict[str, list[CronState]] = {}
    for state in states:
        if state.last_definition is not None:
            crons.setdefault(state.last_definition.queue, []).append(state)
    enqueuer = Enqueuer()
    texts: list[str] = []
    for queue, here in crons.items():
        try:
            enqueuer.queue(queue)
        except QueueUnusable as error:
            runs = [
                (run_id, state.present_name)
                for state in here
                for run_id in _in_rq(open_runs(state))
            ]
            if runs:
                run_id, cron = runs[0]
                such = f"{run_id} of cron {cron!r}"
                texts.append(
                    f"RQ's record of {len(runs)} open run{'s' * (len(runs) != 1)} in queue {queue!r}, "
                    f"{'such as ' * (len(runs) != 1)}{such}, may be out of reach: {error} Leave the "
                    "queue there until its runs have ended."
                )
    return texts


def open_runs(state: CronState) -> set[UUID]:
    """Of the cron's newest runs those without an outcome, and not to begin later."""
    newest = _rows().filter(stream=cron_stream(state.name), type__in=_ASKED)
    runs = newest.order_by("-version").values_list("run_id", "data")[:OPEN_RUNS_LOOKED_AT_MAX]
    now = clock.now().isoformat()
    wanted = {
        run_id
        for run_id, data in runs
        if run_id is not None and str(data.get(NOT_BEFORE) or "") <= now
    }
    ended = _rows().filter(run_id__in=wanted).outcomes().values_list("run_id", flat=True)
    return wanted - set(ended)


def _in_rq(run_ids: set[UUID]) -> list[UUID]:
    rows = _rows().filter(run_id__in=run_ids, type__in=_IN_RQ).order_by()
    return sorted({run_id for run_id in rows.values_list("run_id", flat=True) if run_id})


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
