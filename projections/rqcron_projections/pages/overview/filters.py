"""What somebody asked the overview for: a search, filters, a sort, a group, a page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Lower
from django.http import QueryDict

from ...folds.cron_status import DISABLED, FAILING, PAUSED, RETIRED
from ...models import CronJob, CronStatus
from ..crons.rows import OVERDUE

__all__ = ["GROUPS", "PAGE_CRONS", "SORTS", "Filters"]

PAGE_CRONS = 50
SEARCH_CHARACTERS_MAX = 200

SORTS = {
    "hurts": "what hurts",
    "slower": "getting slower",
    "name": "name",
    "next": "next slot",
    "last": "last run",
    "failures": "failures in a row",
}
"""The first is the default."""
GROUPS = {"": "nothing", "status": "status", "queue": "queue", "code": "module of the code"}
_ORDERS = {
    "name": (Lower("name"),),
    "next": (F("next_slot").asc(nulls_last=True), Lower("name")),
    "last": (F("last_run_started_at").desc(nulls_last=True), Lower("name")),
    "failures": (F("consecutive_failures").desc(), Lower("name")),
}
_GROUP_ORDERS = {"status": "status", "queue": "queue", "code": "function"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Each from a closed list, but for the search and the queue: what is not known counts as none."""

    search: str = ""
    """In names, descriptions, functions and schedules."""
    status: str = ""
    queue: str = ""
    sort: str = "hurts"
    group: str = ""
    page: int = 1
    """From 1."""

    @classmethod
    def of(cls, given: QueryDict) -> Self:
        status, sort, group = (given.get(name, "") for name in ("status", "sort", "group"))
        page = given.get("page", "")
        return cls(
            search=_text(given.get("q", "")),
            status=status if status in CronStatus.values else "",
            queue=_text(given.get("queue", "")),
            sort=sort if sort in SORTS else "hurts",
            group=group if group in GROUPS else "",
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def chosen(self, rows: QuerySet[CronJob]) -> QuerySet[CronJob]:
        """Without retired crons, unless somebody asks for them."""
        rows = rows.filter(status=self.status) if self.status else rows.exclude(status=RETIRED)
        rows = rows.filter(queue=self.queue) if self.queue else rows
        for word in self.search.split():
            rows = rows.filter(
                Q(name__icontains=word)
                | Q(description__icontains=word)
                | Q(function__icontains=word)
                | Q(schedule__icontains=word)
            )
        return rows

    def ordered(self, rows: QuerySet[CronJob], now: datetime) -> QuerySet[CronJob]:
        """For each sort but ``slower``, which the columns of a cron do not tell."""
        groups = [_GROUP_ORDERS[self.group]] if self.group else []
        hurts = (_hurts(now), F("consecutive_failures").desc(), Lower("name"))
        return rows.order_by(*groups, *_ORDERS.get(self.sort, hurts), "name")

    def with_(self, **changes: str | int) -> str:
        """The same as an address, with changes; another choice begins at its first page."""
        new = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        query = QueryDict(mutable=True)
        named = {"q": new.search, "status": new.status, "queue": new.queue, "group": new.group}
        query.update({name: value for name, value in named.items() if value})
        if new.sort != "hurts":
            query["sort"] = new.sort
        if new.page > 1:
            query["page"] = str(new.page)
        return f"?{query.urlencode()}"


def _text(given: str) -> str:
    """PostgreSQL takes no NUL in a text."""
    return given.replace("\0", "").strip()[:SEARCH_CHARACTERS_MAX]


def _hurts(now: datetime) -> Case:
    """Failing first, then slots that nobody decided, then those that were passed over."""
    quiet = Q(status__in=(PAUSED, DISABLED, RETIRED))
    return Case(
        When(status=FAILING, then=Value(0)),
        When(~quiet & Q(next_slot__lt=now - OVERDUE), then=Value(1)),
        When(~quiet & Q(last_decision="missed"), then=Value(2)),
        When(~quiet & Q(last_decision="skipped"), then=Value(3)),
        When(status=PAUSED, then=Value(4)),
        When(status=DISABLED, then=Value(6)),
        When(status=RETIRED, then=Value(7)),
        default=Value(5),
    )
