"""What a report is computed from: tallies per group and per cron, and the errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from .figures import ErrorTally, Tally

__all__ = ["By", "Group", "Tallies"]

By = Literal["cron", "day", "hour", "queue"]
Group = str | date | datetime


@dataclass(slots=True)
class Tallies:
    """Each fact is added to its group and to its cron; both are one when the groups are crons."""

    by: By
    exact: bool
    groups: dict[Group, Tally] = field(default_factory=dict)
    crons: dict[str, Tally] = field(default_factory=dict)
    errors: dict[str, ErrorTally] = field(default_factory=dict)
    """By kind; see ``cron_day.error_kind``."""

    def of(self, cron: str, group: Group) -> tuple[Tally, ...]:
        """The tallies that a fact about this cron in this group goes into."""
        mine = self.crons.get(cron)
        if mine is None:
            mine = self.crons[cron] = Tally(exact=self.exact)
        if self.by == "cron":
            return (mine,)
        other = self.groups.get(group)
        if other is None:
            other = self.groups[group] = Tally(exact=self.exact)
        return (mine, other)

    def add_error(self, kind: str, cron: str, run: str, count: int = 1) -> None:
        tally = self.errors.setdefault(kind, ErrorTally())
        tally.count += count
        tally.crons[cron] += count
        tally.run = run
