"""One scrape: each part by itself, within bounds, so that what does not answer hides nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import TypeVar

from rqcron_events import clock
from rqcron_events.core.wording import clause
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.process.gc_pause import collection_paused

from .crons import read_crons, tell_crons
from .exposition import Exposition, label
from .surroundings import tell_log, tell_projections, tell_runners, tell_signals, tell_spool
from .totals import tell_totals

__all__ = ["scrape"]

log = logging.getLogger(__name__)
T = TypeVar("T")

DATABASE_SECONDS_MAX = 6.0
"""For all answers of the database together; Prometheus waits for ten seconds by default."""
STATEMENT_SECONDS_MAX = 4.0
LOCK_SECONDS_MAX = 0.5
"""How long a statement may wait for a table that a rebuild swaps."""

_failing: set[str] = set()
"""Parts whose failure this process has logged, until they come again."""


def scrape(*, buckets_by_cron: bool = False) -> str:
    """All metrics in Prometheus' text format. Raises nothing because of a database or a Redis: what
    is missing is said by ``rqcron_scrape_part_ok``.

    ``buckets_by_cron``: lateness, queue wait and duration of each cron as histograms, too.
    """
    started = clock.monotonic_seconds()
    out = Exposition()
    db = store.connection()
    # The lines of ten thousand crons hold no cycles, and would be walked over and over in search of them.
    with collection_paused(), backend_of(db).bounded_session(db, DATABASE_SECONDS_MAX):
        runners = _part(out, "runners", tell_runners)
        lag = runners.allowed_lag if runners else timedelta(0)
        if crons := _part(out, "names", lambda _: read_crons()):
            _part(out, "crons", partial(tell_crons, crons=crons, allowed_lag=lag))
            totals = partial(tell_totals, labels=crons.labels, buckets_by_cron=buckets_by_cron)
            _part(out, "totals", totals)
        _part(out, "projections", tell_projections)
        _part(out, "signals", tell_signals)
        _part(out, "log", tell_log)
    _part(out, "spool", tell_spool, in_database=False)
    out.add("rqcron_scrape_duration_seconds", clock.monotonic_seconds() - started)
    return out.text()


def _part(
    out: Exposition, name: str, tell: Callable[[Exposition], T], *, in_database: bool = True
) -> T | None:
    """What it returns; None when it failed, and then nothing of it is told."""
    part = Exposition()
    db = store.connection()
    bounds = backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, STATEMENT_SECONDS_MAX)
    try:
        with bounds if in_database else nullcontext():
            found = tell(part)
    except Exception as error:
        _log_failure(name, error)
        out.add("rqcron_scrape_part_ok", 0, label("part", name))
        return None
    _failing.discard(name)
    out.merge(part)
    out.add("rqcron_scrape_part_ok", 1, label("part", name))
    return found


def _log_failure(name: str, error: Exception) -> None:
    if name in _failing:
        return
    _failing.add(name)
    log.warning(
        "Part %s of the metrics is missing: %s: %s. Further failures are told by "
        "rqcron_scrape_part_ok only.",
        name,
        type(error).__name__,
        clause(error),
        extra={"action": "metrics_part_failed", "part": name},
    )
