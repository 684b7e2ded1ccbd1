"""What crons are called, where the rows have the names that the log stores."""

from __future__ import annotations

from rqcron_events.ledger import store

from ..models import CronJob

__all__ = ["present_name", "present_names", "renamed_from"]


def present_name(job: CronJob) -> str:
    """What the code calls the cron now."""
    names: list[str] = job.definition.get("names") or [job.name]
    return names[-1]


def renamed_from(job: CronJob) -> str:
    """What it was called before; empty: it was never renamed."""
    names: list[str] = job.definition.get("names") or [job.name]
    return "".join(names[-2:-1])


def present_names() -> dict[str, str]:
    """Of those that were renamed, the present name by the stored one."""
    jobs = CronJob.objects.using(store.connection().alias)
    return {job.name: present_name(job) for job in jobs.filter(definition__has_key="names")}
