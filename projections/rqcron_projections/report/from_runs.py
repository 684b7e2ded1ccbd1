"""A report's tallies from single runs and decisions: exact, and for any instants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    F,
    Field,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)

from rqcron_events.core.definition import Definition
from rqcron_events.core.events import DECISIONS, EventType
from rqcron_events.core.events.keys import COUNT, DEFINITION, EFFECTIVE_FROM, FIRST
from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.schedule import EPOCH, local_time, slots_between, zone_or_utc
from rqcron_events.core.schedule.slot_count import slots_by_day
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from ..folds.days import error_kind
from ..folds.run_status import ENDED, RETRYING, SUCCEEDED
from ..models import CronJob, CronRun
from .figures import Tally
from .tallies import By, Group, Tallies

__all__ = ["tally_runs"]

NAMES_PER_QUERY_MAX = 900
SLOTS_PER_EVENT_MAX = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1)
_HOUR_US = _HOUR // _MICROSECOND
_PASSED_OVER = (EventType.SLOT_SKIPPED.value, EventType.SLOT_MISSED.value)
_FAILURES = frozenset({RunStatus.FAILED.value, RunStatus.LOST.value})
_COLUMNS = (
    "cron",
    "trigger",
    "status",
    "attempts",
    "lateness_seconds",
    "queue_wait_seconds",
    "duration_seconds",
    "finished_us",
)
_ERROR_COLUMNS = ("cron", "run_id", "error_type", "error_shape", "outcome_reason")
_ROWS_PER_FETCH = 10_000
_MICROSECONDS_OF_TEXT = (
    "(SELECT CAST(strftime('%%%%s', at) AS INTEGER) * 1000000 + CAST(substr(at, 21, 6) AS INTEGER) "
    "FROM (SELECT %(expressions)s AS at))"
)


def tally_runs(since: datetime, until: datetime | None, by: By, cron: str | None) -> Tallies:
    """Add up what belongs to instants with ``since <= instant < until``.

    A slot belongs to its own instant, and so does its run; a run that somebody asked for belongs
    to that of its request.
    """
    return _Reader(since, until, by, cron).read()


class Microseconds(Func):
    """An instant as microseconds since 1970: drivers take long to make a datetime of one."""

    output_field = Field()
    """Of no kind, because Django would convert each number to what it is already."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(EXTRACT(EPOCH FROM %(expressions)s) * 1000000)::bigint"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Of Django's text, ``2026-03-01 09:00:00.250000``, whose fraction is missing when it is 0."""
        return self.as_sql(compiler, connection, template=_MICROSECONDS_OF_TEXT, **context)


class _Reader:
    def __init__(self, since: datetime, until: datetime | None, by: By, cron: str | None) -> None:
        self.since, self.until, self.by, self.cron = since, until, by, cron
        self.alias = store.connection().alias
        self.tallies = Tallies(by=by, exact=True)
        jobs = CronJob.objects.using(self.alias)
        self.jobs: dict[str, tuple[str, str]] = {
            name: (timezone, queue)
            for name, timezone, queue in jobs.values_list("name", "timezone", "queue")
        }
        self.definitions: dict[str, list[tuple[datetime, Definition]]] = {}
        self.streaks: dict[tuple[str, Group | None], tuple[int, int]] = {}
        """Of a cron in a group, or (None) in all: failures in a row, and when the first ended."""
        self.hours: dict[int, datetime] = {}
        self.failed: set[str] = set()
        """Crons that had a failure so far."""

    def read(self) -> Tallies:
        self._read_runs()
        self._read_decisions()
        return self.tallies

    def _group_of(self, cron: str, about: Any) -> Group:
        """Of a run; ``about`` is its queue, or the instant that it belongs to in microseconds."""
        match self.by:
            case "cron":
                return cron
            case "queue":
                return about or self._group(cron, self.since)
            case "hour":
                hour = about // _HOUR_US
                if hour not in self.hours:
                    self.hours[hour] = EPOCH + hour * _HOUR
                return self.hours[hour]
            case "day":
                return self._group(cron, EPOCH + about * _MICROSECOND)

    def _group(self, cron: str, instant: datetime) -> Group:
        match self.by:
            case "cron":
                return cron
            case "queue":
                return self.jobs.get(cron, ("", ""))[1]
            case "hour":
                return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            case "day":
                return local_time(instant, zone_or_utc(self.jobs.get(cron, ("UTC", ""))[0])).date()

    def _read_runs(self) -> None:
        runs = self._runs()
        for cron, run_id, *error in (
            runs.filter(status__in=_FAILURES)
            .values_list(*_ERROR_COLUMNS)
            .iterator(chunk_size=_ROWS_PER_FETCH)
        ):
            self.tallies.add_error(error_kind(*error), cron, run_id.hex)
        match self.by:
            case "cron":
                about: Any = F("cron")
            case "queue":
                about = F("queue")
            case "hour" | "day":
                about = Microseconds(
                    Case(When(trigger="slot", then="slot"), default="requested_at")
                )
        found = runs.annotate(about=about, finished_us=Microseconds("finished_at"))
        rows = found.values_list(*_COLUMNS, "about")
        self._add_runs(rows.iterator(chunk_size=_ROWS_PER_FETCH))

    def _runs(self) -> QuerySet[CronRun]:
        """Those of the range, in the order in which they ended."""
        rows = CronRun.objects.using(self.alias)
        if self.cron is not None:
            rows = rows.filter(cron=self.cron)
        slots, others = Q(slot__gte=self.since), Q(requested_at__gte=self.since)
        if self.until is not None:
            slots &= Q(slot__lt=self.until)
            others &= Q(requested_at__lt=self.until)
        wanted = (Q(trigger="slot") & slots) | (~Q(trigger="slot") & others)
        return rows.filter(wanted).order_by("finished_at", "run_id")

    def _add_runs(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """One loop without calls, because there are hundreds of thousands."""
        tallies_of, group_of, failed = self.tallies.of, self._group_of, self.failed
        for cron, trigger, status, attempts, late, waited, took, finished_us, about in rows:
            by_slot, ended = trigger == "slot", status in ENDED
            failed_tries = attempts - (status != RETRYING)
            late_us = round((late or 0) * 1_000_000)
            waited_us = None if waited is None else round(waited * 1_000_000)
            took_us = round(took * 1_000_000) if ended and took is not None else None
            group = group_of(cron, about)
            tallies = tallies_of(cron, group)
            for tally in tallies:
                spreads = tally.spreads
                if by_slot:
                    tally.fired += 1
                    spreads["lateness"].values.append(late_us)
                else:
                    tally.requested += 1
                if failed_tries > 0:
                    tally.attempts_failed += failed_tries
                if ended:
                    tally.outcomes[status] += 1
                if waited_us is not None:
                    spreads["queue_wait"].values.append(waited_us)
                if took_us is not None:
                    spreads["duration"].values.append(took_us)
            if status in _FAILURES or (ended and cron in failed):
                self._add_result(cron, status, finished_us, group, tallies)

    def _add_result(
        self, cron: str, status: str, at_us: int, group: Group, tallies: tuple[Tally, ...]
    ) -> None:
        self.failed.add(cron)
        places = (None,) if self.by == "cron" else (None, group)
        for place, tally in zip(places, tallies, strict=True):
            failures, since = self.streaks.get((cron, place), (0, at_us))
            if status in _FAILURES:
                self.streaks[cron, place] = (failures + 1, since)
                tally.note_streak(failures + 1)
                tally.turned_failing += not failures
                tally.changes += not failures and tally.outcomes[SUCCEEDED] > 0
            elif status == SUCCEEDED and failures:
                took_us = max(at_us - since, 0)
                tally.note_recoveries(1, took_us, took_us)
                tally.changes += 1
                del self.streaks[cron, place]

    def _read_decisions(self) -> None:
        names = sorted(self.jobs) if self.cron is None else [self.cron]
        rows = CronEvent.objects.using(self.alias).filter(scheduled_for__gte=self.since)
        passed_over = rows.filter(type__in=_PASSED_OVER)
        if self.until is not None:
            passed_over = passed_over.filter(scheduled_for__lt=self.until)
        for start in range(0, len(names), NAMES_PER_QUERY_MAX):
            found = passed_over.filter(cron__in=names[start : start + NAMES_PER_QUERY_MAX])
            for row in found.order_by().iterator(chunk_size=2_000):
                self._add_decision(row)
        if self.until is None:
            return
        # An event is found by its last slot: the one that covers the end lies behind it.
        after = rows.filter(
            type__in=sorted(DECISIONS), scheduled_for__gte=self.until, cron=OuterRef("name")
        )
        following = after.order_by("scheduled_for").values("id")[:1]
        crons = CronJob.objects.using(self.alias)
        if self.cron is not None:
            crons = crons.filter(name=self.cron)
        ids = crons.annotate(following=Subquery(following)).values("following")
        for row in CronEvent.objects.using(self.alias).filter(id__in=ids, type__in=_PASSED_OVER):
            self._add_decision(row)

    def _add_decision(self, row: CronEvent) -> None:
        event = row.fact()
        last = event.scheduled_for
        assert last is not None, "it was found by this column"
        first = event.parsed_time(FIRST) or last
        begin, end = max(first, self.since), last
        if self.until is not None:
            end = min(last, self.until - _MICROSECOND)
        group = self._group(row.cron, last)
        whole = [(group, int(event.data.get(COUNT, 1)))]
        if (begin, end) == (first, last) and self._group(row.cron, first) == group:
            groups = whole
        else:
            try:
                groups = list(self._split(row.cron, begin, end))
            except (
                ValueError
            ):  # its definition cannot be read today; the decision counted its slots
                groups = whole
        for group, count in groups:
            for tally in self.tallies.of(row.cron, group):
                by_reason = tally.skipped if event.type is EventType.SLOT_SKIPPED else tally.missed
                by_reason[event.reason] += count

    def _split(self, cron: str, begin: datetime, end: datetime) -> Iterator[tuple[Group, int]]:
        """The groups of a stretch of slots that one decision covers, with how many each has."""
        definition = self._definition(cron, begin)
        if definition is None or begin > end:
            return
        if self.by == "hour":
            counts: dict[Group, int] = {}
            for slot in slots_between(
                definition.schedule, begin - _MICROSECOND, end, SLOTS_PER_EVENT_MAX
            ):
                group = self._group(cron, slot)
                counts[group] = counts.get(group, 0) + 1
            yield from counts.items()
            return
        if self.by == "day":
            zone = zone_or_utc(self.jobs.get(cron, ("UTC", ""))[0])
            yield from slots_by_day(definition.schedule, zone, begin, end).items()
            return
        zone = zone_or_utc(definition.timezone)
        if days := slots_by_day(definition.schedule, zone, begin, end):
            yield self._group(cron, end), sum(days.values())

    def _definition(self, cron: str, instant: datetime) -> Definition | None:
        """The one whose slots include this instant."""
        if cron not in self.definitions:
            rows = CronEvent.objects.using(self.alias).filter(
                cron=cron, type__in=("cron_registered", "cron_changed")
            )
            self.definitions[cron] = [
                (
                    event.parsed_time(EFFECTIVE_FROM) or event.occurred_at,
                    Definition.from_data(event.data[DEFINITION]),
                )
                for event in rows.order_by("id").events()
            ]
        known = self.definitions[cron]
        for start, definition in reversed(known):
            if start < instant:
                return definition
        return known[0][1] if known else None
