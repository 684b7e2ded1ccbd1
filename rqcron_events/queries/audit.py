"""Reads the log for an audit: a bounded page at a time, however long it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DataError
from django.db.models import Count, F, Max, Q, QuerySet

from .. import clock
from ..archive.reach import NEWEST_ARCHIVED_AT
from ..archive.reading import rows_for_audit, whole_log
from ..conf import conf
from ..core.audit.auditor import CronAuditor, Decided, RunFacts
from ..core.audit.findings import Audit, CronAudit, Finding, Wrong, missing_versions, version_gap
from ..core.codec import CronRow, decode_data
from ..core.cron_state import CronState
from ..core.events import (
    DECISIONS,
    DEFINITION_TYPES,
    LEDGER_STREAM,
    OUTCOMES,
    EventType,
    Reason,
    cron_stream,
    runner_stream,
)
from ..core.events.keys import COUNT, DEFINITION_VERSION, FIRST
from ..core.expected_slots import promises
from ..core.interventions.rewind import Rewind
from ..core.wording import empty_range_text
from ..errors import CronConfigError, UnknownCron, check_instant
from ..leadership.slot_rules import other_rules
from ..ledger import store
from ..ledger.backend import backend_of
from ..ledger.lookup import stored_name, told_losses
from ..ledger.run_streams import read_runs
from ..models import CronEvent, CronEventQuerySet
from .code_in_force import unknown_cron_text
from .snapshot_check import snapshot_differences
from .unreadable import fold_definitions, set_aside

__all__ = ["audit"]

EVENTS_PER_PAGE = 5000
"""Read by one query."""
RUNS_KEPT_MAX = 50_000
"""When more runs than this are not well, they are looked at page by page."""
RUNS_PER_QUERY = 500
"""Where each run has to be named: SQLite may take no more than 999 parameters."""
# In the order of the index's condition: SQLite uses a partial index for the same text only.
_DECISION_TYPES = (EventType.SLOT_FIRED, EventType.SLOT_SKIPPED, EventType.SLOT_MISSED)
_DECISIONS_BY_VALUE = {item.value: item for item in DECISIONS}
_OUTCOME_VALUES = sorted(item.value for item in OUTCOMES)
_RUN_PREFIX = "run/"
_FIRED = EventType.SLOT_FIRED.value
_REQUESTED = EventType.RUN_REQUESTED.value


def audit(
    name: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Audit:
    """Hold the slots that the definitions in force promised against the recorded decisions.

    :param name: one cron; default all that the log knows.
    :param since: and ``until``: aware; slots with ``since <= slot < until`` are audited, and runs
        that were asked for then.

    Raises UnknownCron, and CronConfigError for times that are naive, the wrong way round or
    begin in the future; SegmentUnavailable where archived events are needed that are out of reach.

    >>> found = audit("send_digest")  # doctest: +SKIP
    >>> found.ok, found.totals.expected, found.totals.unaccounted  # doctest: +SKIP
    (True, 261, 0)
    """
    now = clock.now()
    _check_times(since, until, now)
    name = stored_name(name) if name is not None else None
    names, archived_at = _names(name)
    if name is not None and not names:
        raise UnknownCron(unknown_cron_text(name))
    if archived_at is None or (since is not None and since > archived_at):
        return _audit(now, names, name is None, since, until)
    with whole_log(rows_for_audit(name, since)):
        return _audit(now, names, name is None, since, until)


def _audit(
    now: datetime,
    names: Sequence[str],
    is_all: bool,
    since: datetime | None,
    until: datetime | None,
) -> Audit:
    return Audit(
        at=now,
        since=since,
        until=until,
        crons=tuple(_audit_cron(item, since, until) for item in names),
        findings=tuple(_gaps_of_other_streams()) if is_all else (),
        losses=tuple(
            loss
            for loss in told_losses()
            if (since is None or since <= loss.until)
            and (until is None or loss.since is None or loss.since < until)
        ),
    )


def _check_times(since: datetime | None, until: datetime | None, now: datetime) -> None:
    for option, value in (("since", since), ("until", until)):
        if value is not None:
            check_instant(option, value)
    if since is not None and until is not None and since >= until:
        raise CronConfigError(empty_range_text(since, until))
    if since is not None and since > now:
        raise CronConfigError(
            f"since={since.isoformat()} is in the future: nothing is due from then on that could "
            "be audited. Give a since in the past."
        )


def _audit_cron(name: str, since: datetime | None, until: datetime | None) -> CronAudit:
    stream = _Stream(name, since, until)
    state = CronState(name)
    definitions = _rows().filter(cron=name, type__in=DEFINITION_TYPES).order_by("id")
    unreadable = list(fold_definitions(state, definitions, stream.head))
    # After the head was read: what is decided meanwhile lies behind it, and only looks pending.
    now = clock.now()
    stretches = promises(state.phases)
    rewinds = _rewinds(name) if state.rewound_version else ()
    if rewinds:
        stream.read_all()
    auditor = CronAuditor(
        name,
        stretches,
        now=now,
        since=since,
        until=until,
        other_rules=other_rules(stretches),
        rewinds=rewinds,
    )
    if stretches and stretches[-1].unreadable:
        auditor.found(_unreadable(name, stretches[-1].unreadable))
    whole = since is None and until is None
    runs = _runs_not_well(name) if whole else None
    for run in _told_runs(runs or ()):
        auditor.run(run, state.last_definition)
    for page in stream.pages(auditor):
        for row in page:
            version = row[0]
            if version != stream.expected:
                gap = missing_versions(cron_stream(name), stream.expected, version - 1)
                auditor.found(gap)
            stream.expected = version + 1
            if row[1] in _DECISIONS_BY_VALUE:
                _audit_decision(auditor, row)
        if runs is None:
            for run in _runs_of(name, page[0][0], page[-1][0], since, until):
                auditor.run(run, state.last_definition)
    for finding in (*unreadable, *set_aside(name, unreadable)):
        auditor.found(finding)
    undecided = auditor.end()
    if whole:
        auditor.overdue(state.last_definition)
        for text in snapshot_differences(name) if not unreadable else ():
            auditor.found(_snapshot_differs(name, text))
    for run_id in _undecided_runs(undecided):
        auditor.undecided_run(run_id, undecided[run_id])
    return replace(auditor.result(), cron=state.present_name)


def _rewinds(name: str) -> list[Rewind]:
    rows = _rows().filter(cron=name, type=EventType.CRON_REWOUND).order_by("id")
    return [Rewind.of(row.fact()) for row in rows]


def _snapshot_differs(name: str, text: str) -> Finding:
    return Finding(
        kind=Wrong.SNAPSHOT_DIFFERS,
        stream=cron_stream(name),
        text=f"the snapshot of {name} is not what the log says: {text}. It is a cache: delete all "
        "rows of rqcron_snapshot and restart the runners",
    )


class _Stream:
    """The part of a cron's stream that an audit needs.

    Decisions follow one another, so slots of a stretch of time are in a stretch of versions.
    """

    def __init__(self, name: str, since: datetime | None, until: datetime | None) -> None:
        self._name = cron_stream(name)
        events = _rows().filter(stream=self._name)
        decisions = _rows().filter(cron=name, type__in=_DECISION_TYPES)
        self.head: int = events.aggregate(head=Max("version"))["head"] or 0
        self.expected = 1
        """The version that comes next, if none is missing."""
        if since is not None:
            before = decisions.filter(scheduled_for__lt=since).order_by("-scheduled_for")
            self.expected = 1 + (before.values_list("version", flat=True).first() or 0)
        self._last = self.head
        if until is not None:
            # With the first decision after the end: it tells which slots before it were left out.
            after = decisions.filter(scheduled_for__gte=until).order_by("scheduled_for")
            last = after.values_list("version", flat=True).first()
            self._last = min(last or self.head, self.head)

    def read_all(self) -> None:
        """Where a rewind took decisions back, slots and versions do not go in step."""
        self.expected, self._last = 1, self.head

    def pages(self, auditor: CronAuditor) -> Iterator[list[CronRow]]:
        """Key by key, not by a cursor: those behind PgBouncer may not have one on the server. Where
        the driver cannot convert a value, that is a finding, and the rest is not read."""
        position = self.expected - 1
        db = store.connection()
        read = backend_of(db).read_cron
        while position < self._last:
            try:
                page = read(db, self._name, position, self._last, EVENTS_PER_PAGE)
            except (DataError, ValueError, OverflowError) as error:
                auditor.found(_cannot_be_read(self._name, position + 1, error))
                return
            if not page:
                return
            yield page
            position = page[-1][0]


def _audit_decision(auditor: CronAuditor, row: CronRow) -> None:
    try:
        auditor.decided(_decision(row))
    except Exception as error:  # what one event holds must not hide the others
        auditor.found(_cannot_be_read(auditor.stream, row[0], error))


def _cannot_be_read(stream: str, version: int, error: Exception) -> Finding:
    text = (
        f"{stream} cannot be read at version {version} or later ({type(error).__name__}: {error})"
    )
    return Finding(kind=Wrong.UNREADABLE, stream=stream, text=text, version=version)


def _decision(row: CronRow) -> Decided:
    version, kind, schema, slot, definition_version, document = row
    if slot is None:
        raise ValueError("it has no slot, or one that is out of range")
    event_type = _DECISIONS_BY_VALUE[kind]
    if document is None:
        return Decided(event_type, slot, slot, 1, int(definition_version or 0), version)
    data = decode_data(event_type, schema, json.loads(document))
    first = data.get(FIRST)
    return Decided(
        type=event_type,
        first=datetime.fromisoformat(first) if first else slot,
        last=slot,
        slots=int(data.get(COUNT, 1)),
        definition_version=int(data.get(DEFINITION_VERSION, 0)),
        version=version,
    )


_HAS_ASKED = f"type IN ('{_FIRED}', '{_REQUESTED}')"
_HAS_ENDED = f"type IN ({', '.join(repr(value) for value in _OUTCOME_VALUES)})"
# A start that was refused because the run is archived does not know how many events the run has.
_IS_APART = f"({_HAS_ASKED} OR reason = '{Reason.ARCHIVED.value}')"
# One pass over the events of the cron, by the database: it returns what is not as it should be.
_RUNS_NOT_WELL = f"""
    SELECT run_id, MAX(CASE WHEN {_HAS_ASKED} THEN id END)
    FROM rqcron_event WHERE cron = %s AND run_id IS NOT NULL
    GROUP BY {{group}}
    HAVING COUNT(CASE WHEN {_HAS_ASKED} THEN 1 END) > 0
        AND (COUNT(CASE WHEN {_HAS_ENDED} THEN 1 END) <> 1
            OR COUNT(CASE WHEN {_IS_APART} THEN NULL ELSE 1 END)
                <> MAX(CASE WHEN {_IS_APART} THEN 0 ELSE version END))
    LIMIT %s
"""  # noqa: S608


def _runs_not_well(name: str) -> list[int] | None:
    """Of the whole log, the events that asked for a run which is not well; None: too many."""
    db = store.connection()
    statement = _RUNS_NOT_WELL.format(group=backend_of(db).GROUP_BY_RUN)
    with db.cursor() as cursor:
        cursor.execute(statement, [name, RUNS_KEPT_MAX + 1])
        found = sorted(row[1] for row in cursor)
    return found if len(found) <= RUNS_KEPT_MAX else None


def _runs_of(
    name: str, first: int, last: int, since: datetime | None, until: datetime | None
) -> Iterator[RunFacts]:
    """The runs that these versions of the stream asked for, unless all is well with all of them."""
    asked = _asked(name, first, last, since, until)
    # In the end nearly every run is well, so the database counts those: one number for a page.
    well = _run_facts(asked.values("run_id")).filter(Q(events=F("head")) & Q(outcomes=1))
    if well.count() == asked.count():
        return
    yield from _told_runs(sorted(asked.values_list("id", flat=True)))


def _asked(
    name: str, first: int, last: int, since: datetime | None, until: datetime | None
) -> CronEventQuerySet:
    """The events that asked for a run, in the window."""
    fired, requested = Q(type=_FIRED), Q(type=_REQUESTED)
    if since is not None:
        fired &= Q(scheduled_for__gte=since)
        requested &= Q(occurred_at__gte=since)
    if until is not None:
        fired &= Q(scheduled_for__lt=until)
        requested &= Q(occurred_at__lt=until)
    return (
        _rows()
        .filter(
            fired | requested,
            stream=cron_stream(name),
            version__range=(first, last),
            run_id__isnull=False,
        )
        .order_by()
    )


def _told_runs(asked_by: Sequence[int]) -> Iterator[RunFacts]:
    """What became of the runs, which are named by the events that asked for them."""
    for start in range(0, len(asked_by), RUNS_PER_QUERY):
        asked = _rows().filter(id__in=asked_by[start : start + RUNS_PER_QUERY]).order_by("id")
        yield from _told(asked.values_list("run_id", "occurred_at"))


def _told(asked: Iterable[tuple[UUID | None, datetime]]) -> Iterator[RunFacts]:
    requested_at = {run_id: at for run_id, at in asked if run_id is not None}
    told = {row["run_id"]: row for row in _run_facts(requested_at)}
    open_runs = read_runs(
        [run_id for run_id in requested_at if not told.get(run_id, {}).get("outcomes")]
    )
    for run_id, at in requested_at.items():
        facts = told.get(run_id, {})
        state = open_runs.get(run_id)
        yield RunFacts(
            run_id=run_id,
            requested_at=at,
            events=facts.get("events", 0),
            version=facts.get("head", 0),
            outcomes=facts.get("outcomes", 0),
            started_at=state.started_at if state else None,
            last_event_at=facts.get("last"),
        )


def _run_facts(run_ids: Any) -> QuerySet[CronEvent, Any]:
    """What the streams of the runs tell, without reading them."""
    rows = _rows().filter(run_id__in=run_ids, stream__startswith=_RUN_PREFIX)
    rows = rows.exclude(reason=Reason.ARCHIVED).order_by()
    return rows.values("run_id").annotate(
        events=Count("id"),
        head=Max("version"),
        outcomes=Count("id", filter=Q(type__in=_OUTCOME_VALUES)),
        last=Max("occurred_at"),
    )


def _undecided_runs(run_ids: Collection[UUID]) -> Iterator[UUID]:
    """Those of the runs that have events, but none that asked for them."""
    rows = _rows().filter(run_id__in=run_ids).order_by().values_list("run_id")
    asked = Count("id", filter=Q(type__in=(_FIRED, _REQUESTED)))
    for run_id, count in rows.annotate(asked=asked):
        if run_id is not None and not count:
            yield run_id


def _names(name: str | None) -> tuple[list[str], datetime | None]:
    """Every cron that any event names, or this one: one index look-up for each, however long the log is;
    and up to when the log is archived.

    Not from ``cron_registered``, which may be what is missing.
    """
    names: list[str] = []
    rows = _rows().exclude(cron="").order_by("cron").annotate(archived_at=NEWEST_ARCHIVED_AT)
    if name is not None:
        rows = _rows().filter(stream=cron_stream(name)).annotate(archived_at=NEWEST_ARCHIVED_AT)
    archived_at = None
    found = rows.values_list("cron", "archived_at").first()
    while found is not None:
        names.append(name or found[0])
        archived_at = found[1]
        if name is not None:
            break
        found = rows.filter(cron__gt=found[0]).values_list("cron", "archived_at").first()
    return names, archived_at


def _gaps_of_other_streams() -> Iterator[Finding]:
    """In the streams of runners and of people's actions on everything."""
    prefix = runner_stream("")
    others = Q(stream=LEDGER_STREAM) | Q(stream__gte=prefix, stream__lt=prefix[:-1] + "0")
    rows = _rows().filter(others).order_by().values_list("stream")
    for stream, events, version in rows.annotate(events=Count("id"), head=Max("version")):
        gap = version_gap(stream, events, version)
        if gap is not None:
            yield gap


def _unreadable(name: str, why: str) -> Finding:
    return Finding(
        kind=Wrong.UNREADABLE,
        stream=cron_stream(name),
        text=f"{name} cannot be audited beyond its last decision, because the definition in force "
        f"cannot be read: {why}",
    )


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
