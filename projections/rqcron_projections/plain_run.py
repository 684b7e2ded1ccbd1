"""Runs without incident, told in one piece: most of a log is about them.

A replay reads the log in pages and looks one page ahead. A run whose events, as far as it sees,
are one each of fired, enqueued, started and succeeded is folded in two steps, at the places of
its first and of its last event, instead of in four. What the two steps leave behind must be what
``apply`` leaves of the four events: the tests compare both over random histories.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from rqcron_events.core.codec import Row, decode_rows, schema_version
from rqcron_events.core.events import Event, EventType

__all__ = ["Item", "Page", "PlainEnd", "PlainFold", "PlainRun", "with_plain_runs"]

# Places in a row.
_ID: Final = 0
_TYPE: Final = 3
_SCHEMA: Final = 4
_CRON: Final = 5
_RUN: Final = 6
_ATTEMPT: Final = 7
_SLOT: Final = 8
_REASON: Final = 9
_ACTOR: Final = 10
_OCCURRED: Final = 11
_DATA: Final = 13

_FIRED = EventType.SLOT_FIRED.value
_SUCCEEDED = EventType.RUN_SUCCEEDED.value
_USUAL = (_FIRED, EventType.RUN_ENQUEUED.value, EventType.RUN_STARTED.value, _SUCCEEDED)
_WORKER_WAS_FASTER = (_FIRED, EventType.RUN_STARTED.value, EventType.RUN_ENQUEUED.value, _SUCCEEDED)


@dataclass(slots=True)
class PlainRun:
    """A run of one slot that was fired, enqueued, started and succeeded at the first attempt."""

    run_id: UUID
    cron: str
    slot: datetime
    decided_at: datetime
    runner: str
    """Actor of the decision."""
    lateness_seconds: float | None
    queue: str
    enqueued_at: datetime
    started_at: datetime
    worker: str
    finished_at: datetime
    duration_seconds: float | None
    rows: tuple[Row, Row, Row, Row]

    def decided(self) -> Event:
        """The first of its events, for a fold that meets an unusual state."""
        return decode_rows(self.rows[:1])[0]

    def rest(self) -> list[Event]:
        return decode_rows(self.rows[1:])


class PlainEnd(NamedTuple):
    """The place of a run's last event; the run itself stands for its first one."""

    run: PlainRun


Item = Event | PlainRun | PlainEnd


class Page(NamedTuple):
    """A part of the log, in its order."""

    items: Sequence[Item]
    events: int
    """How many the items stand for."""
    position: int
    """Id of the last of them, or a later one up to which there is nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainFold:
    """How a projection folds a plain run: as ``apply`` its events, only quicker."""

    key: Callable[[PlainRun], Hashable | None]
    """Primary key of the row that both steps are given; None: they need no row."""
    begin: Callable[[Any, PlainRun], Sequence[Any]] | None
    end: Callable[[Any, PlainRun], Sequence[Any]]


def with_plain_runs(pages: Iterable[list[Row]]) -> Iterator[Page]:
    """Pages of rows, none of them empty, as pages of events and plain runs."""
    plain: dict[bytes, PlainRun] = {}
    """Those whose last event is still to come."""
    before: list[Row] | None = None
    groups: dict[bytes, list[Row]] = {}
    for page in pages:
        following: dict[bytes, list[Row]] = {}
        for row in page:
            run = row[_RUN]
            if run is None or run in plain:
                continue
            if (group := groups.get(run)) is not None or (group := following.get(run)) is not None:
                group.append(row)
            else:
                following[run] = [row]
        if before is not None:
            yield _page(before, groups, plain)
        before, groups = page, following
    if before is not None:
        yield _page(before, groups, plain)


def _page(rows: list[Row], groups: dict[bytes, list[Row]], plain: dict[bytes, PlainRun]) -> Page:
    """Takes the plain runs among the groups over into ``plain``, and out again at their end."""
    plain.update(_plain_runs(groups))
    others = iter(decode_rows([row for row in rows if row[_RUN] not in plain]))
    items: list[Item] = []
    for row in rows:
        run = plain.get(row[_RUN]) if row[_RUN] is not None else None
        if run is None:
            items.append(next(others))
        elif row[_TYPE] == _FIRED:
            items.append(run)
        elif row[_TYPE] == _SUCCEEDED:
            items.append(PlainEnd(run))
    for item in items:
        if isinstance(item, PlainEnd):
            del plain[item.run.run_id.bytes]
    return Page(items, len(rows), rows[-1][_ID])


def _plain_runs(groups: dict[bytes, list[Row]]) -> Iterator[tuple[bytes, PlainRun]]:
    if any(schema_version(EventType(name)) != 1 for name in _USUAL):
        return  # old rows need their upcasters: one by one
    found = [(run, rows) for run, rows in groups.items() if len(rows) == 4 and _is_plain(*rows)]
    told = ",".join([row[_DATA] for _, rows in found for row in rows])
    documents = iter(json.loads(f"[{told}]"))
    for (run, (fired, second, third, ended)), data, data2, data3, result in zip(
        found, documents, documents, documents, documents, strict=True
    ):
        if data.get("trigger", "slot") != "slot" or result.get("error"):
            continue
        enqueued, started, noted = second, third, data2
        if second[_TYPE] != _USUAL[1]:
            enqueued, started, noted = third, second, data3
        slot = fired[_SLOT]
        assert slot is not None, "_is_plain looks at it"
        yield (
            run,
            PlainRun(
                UUID(bytes=run),
                fired[_CRON],
                slot,
                fired[_OCCURRED],
                fired[_ACTOR],
                data.get("lateness_seconds"),
                noted.get("queue", ""),
                enqueued[_OCCURRED],
                started[_OCCURRED],
                started[_ACTOR],
                ended[_OCCURRED],
                result.get("duration_seconds"),
                (fired, second, third, ended),
            ),
        )


def _is_plain(fired: Row, second: Row, third: Row, ended: Row) -> bool:
    kinds = (fired[_TYPE], second[_TYPE], third[_TYPE], ended[_TYPE])
    if kinds == _USUAL:
        started = third
    elif kinds == _WORKER_WAS_FASTER:
        started = second
    else:
        return False
    return (
        fired[_SCHEMA] == second[_SCHEMA] == third[_SCHEMA] == ended[_SCHEMA] == 1
        and fired[_CRON] == second[_CRON] == third[_CRON] == ended[_CRON] != ""
        and fired[_SLOT] is not None
        and fired[_REASON] == ended[_REASON] == ""
        and started[_ATTEMPT] == 1
        and ended[_ATTEMPT] in (None, 1)
    )
