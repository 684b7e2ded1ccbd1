"""What a request asks of the report: the range, the groups, one cron or all, and in which order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import get_args

from django.http import QueryDict
from django.utils import timezone

from rqcron_events.cli.times import parse_instant
from rqcron_events.core.wording import unknown_cron_text
from rqcron_events.errors import CronConfigError
from rqcron_events.ledger import store
from rqcron_events.ledger.lookup import stored_name

from ...models import CronJob
from ...report.tallies import By

__all__ = ["ROWS_PER_PAGE", "SORTS", "Asked", "asked_of", "ranges"]

DAY = timedelta(days=1)
ROWS_PER_PAGE = 50
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
SORTS = ("worst", "name", "slots", "failed", "missed", "skipped", "mean", "max")
"""``name``: the group, whatever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Raises nothing: what could not be read is in ``problem``, and has its default."""

    since: date | datetime
    until: date | datetime | None
    """Not included; None: now."""
    by: By
    cron: str
    """Its stored name; empty: all."""
    sort: str
    page: int
    """From 1."""
    texts: dict[str, str]
    """As they were typed, to be shown again."""
    problem: str = ""

    @property
    def whole_days(self) -> tuple[date, date | None] | None:
        """None when the range begins or ends within a day."""
        if isinstance(self.since, datetime) or isinstance(self.until, datetime):
            return None
        return self.since, self.until

    @property
    def part(self) -> slice:
        """The rows of the page, and one of the next, if there is one."""
        start = (self.page - 1) * ROWS_PER_PAGE
        return slice(start, start + ROWS_PER_PAGE + 1)


def asked_of(given: QueryDict, now: datetime) -> Asked:
    texts = {name: given.get(name, "").strip() for name in ("since", "until", "cron")}
    problems: list[str] = []
    cron = _cron(texts["cron"], problems)
    since = _time(texts["since"], "From", cron, problems)
    begin = since if isinstance(since, datetime) else None
    until = _time(texts["until"], "To", cron, problems, after=begin)
    if since is None:
        since = timezone.localdate(now) - 7 * DAY
    by: By = next((item for item in get_args(By) if item == given.get("by")), "cron")
    sort = given.get("sort", "")
    if sort not in SORTS:
        sort = "worst" if by == "cron" else "name"
    page = given.get("page", "")
    return Asked(
        since=since,
        until=until,
        by=by,
        cron=cron,
        sort=sort,
        page=int(page) if page.isascii() and page.isdecimal() and 0 < len(page) < 7 else 1,
        texts=texts,
        problem=" ".join(problems),
    )


def ranges(now: datetime) -> list[tuple[str, dict[str, str]]]:
    """Ranges that people ask for, with their parameters."""
    today = timezone.localdate(now)
    return [
        ("today", {"since": f"{today}"}),
        ("yesterday", {"since": f"{today - DAY}", "until": f"{today}"}),
        *(
            (f"{days} days", {"since": f"{today - days * DAY}"})
            for days in (7, 30, 90)
        ),
    ]  # fmt: skip


def _cron(text: str, problems: list[str]) -> str:
    if not text:
        return ""
    name = stored_name(text)
    names = CronJob.objects.using(store.connection().alias)
    if not names.filter(name=name).exists():
        problems.append(unknown_cron_text(text, names.values_list("name", flat=True)))
        return ""
    return name


def _time(
    text: str, label: str, cron: str, problems: list[str], *, after: datetime | None = None
) -> date | datetime | None:
    if not text:
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return parse_instant(text, label, cron=cron, after=after)
    except CronConfigError as error:
        problems.append(str(error))
    except ValueError:
        problems.append(f"{label} {text!r} is not a date. Give one that exists, as 2026-03-01.")
    return None
