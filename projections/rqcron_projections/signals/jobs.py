"""The rows of some crons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rqcron_events.ledger import store

from ..models import CronJob

__all__ = ["jobs_of", "parts"]

NAMES_PER_QUERY_MAX = 500


def jobs_of(crons: Iterable[str]) -> dict[str, CronJob]:
    """By stored name."""
    jobs = CronJob.objects.using(store.connection().alias)
    found = (jobs.filter(name__in=names) for names in parts(crons))
    return {job.name: job for rows in found for job in rows}


def parts(names: Iterable[str]) -> Iterator[list[str]]:
    """As many as fit into one query."""
    wanted = sorted(set(names))
    for start in range(0, len(wanted), NAMES_PER_QUERY_MAX):
        yield wanted[start : start + NAMES_PER_QUERY_MAX]
