"""What crons are called now, and in which zone their times are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...models import CronJob

__all__ = ["Called", "called"]


@dataclass(frozen=True, slots=True)
class Called:
    """A cron, as a line names it."""

    stored_name: str
    """In addresses: it never changes."""
    name: str
    """The present one."""
    timezone: str = ""


def called(alias: str, stored_names: Collection[str]) -> dict[str, Called]:
    """By stored name, in one query; a cron that no projection knows is called as the log says."""
    found = {name: Called(name, name) for name in stored_names}
    if not found:
        return found
    jobs = CronJob.objects.using(alias).filter(name__in=found)
    for name, timezone, definition in jobs.values_list("name", "timezone", "definition"):
        names = definition.get("names") or [name]
        found[name] = Called(name, names[-1], timezone)
    return found
