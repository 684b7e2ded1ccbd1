"""What is remembered of the log: in memory, and in the snapshot, the folded state of each cron in a
table, so that a runner need not fold the log.

The log may have gone back since, behind a failover or a restored copy. Ids say little then: a copy
hands out the same ones again. So events that were seen are looked for, by what they say.


The snapshot is a cache that anybody can write to, so nothing is believed of it but what its head vouches for:
the number of rows, their checksum, and how many events its fold went without.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from django.db import connections, transaction
from django.db.models import F, QuerySet
from django.utils.timezone import is_aware, make_aware

from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import Event
from ..core.wording import clause
from ..models import CronEvent, CronSnapshot
from .backend import backend_of
from .lookup import archived_until

__all__ = [
    "FORMAT",
    "MARKS_MAX",
    "POSITION_ROW",
    "LogMark",
    "Remembered",
    "Snapshot",
    "Unsaved",
    "marks_up_to",
    "missing_marks",
]

log = logging.getLogger(__name__)
P = TypeVar("P")
M = TypeVar("M")

POSITION_ROW = ""
FORMAT = 6
"""Raise it when ``CronState.to_data`` changes, and old snapshots are ignored."""


PIECE_ITEMS = 200
LOCK_SECONDS_MAX = 0.2
STATEMENT_SECONDS_MAX = 30.0
"""How long one statement of a save may wait for a lock, and take."""
MARKS_MAX = 10
"""How many of the newest events are looked for. Commits are lost from the newest on; there are
several because the order of ids is not quite that of commits."""


class LogMark(NamedTuple):
    """A committed event, by what tells it from one that another history has in its place."""

    stream: str
    version: int
    type: str
    actor: str
    occurred_at: datetime

    @classmethod
    def of(cls, event: Event) -> LogMark:
        """``event`` as it was committed, with its true version."""
        return cls(event.stream, event.version, event.type.value, event.actor, event.occurred_at)

    @classmethod
    def from_data(cls, data: Sequence[Any]) -> LogMark:
        stream, version, kind, actor, at = data
        return cls(stream, version, kind, actor, datetime.fromisoformat(at))

    def to_data(self) -> list[Any]:
        """JSON-ready."""
        return [*self[:4], self.occurred_at.isoformat()]


_MARKS = "SELECT stream, version, type, actor, occurred_at FROM rqcron_event WHERE "


class Remembered(NamedTuple):
    """What somebody knew of the log, at one time."""

    position: int
    crons: Mapping[str, CronState]
    marks: Sequence[LogMark]
    """Of the newest events."""


def missing_marks(marks: Iterable[LogMark]) -> list[LogMark]:
    """Those that the log does not have: it went back. One query, by a unique index. What may have been
    archived since is not among them."""
    marks = list(marks)
    if not marks:
        return []
    streams: dict[int, list[str]] = {}
    for mark in marks:
        streams.setdefault(mark.version, []).append(mark.stream)
    wanted: list[str] = []
    params: list[int | str] = []
    for version, names in streams.items():  # few
        wanted.append(f"(version = %s AND stream IN ({', '.join(['%s'] * len(names))}))")
        params += [version, *names]
    db = connections[conf().database]
    with (
        db.cursor() as cursor
    ):  # of each tick: Django takes longer to build it than the database to answer
        cursor.execute(_MARKS + " OR ".join(wanted), params)
        rows = cursor.fetchall()
    there = {(*row[:4], _aware(row[4])) for row in rows}
    missing = [mark for mark in marks if mark not in there]
    until = archived_until() if missing else None
    return missing if until is None else [mark for mark in missing if mark.occurred_at > until]


def marks_up_to(position: int) -> list[LogMark]:
    """Of the newest events up to this id."""
    rows = CronEvent.objects.using(conf().database).filter(id__lte=position).order_by("-id")
    return [LogMark._make(row) for row in rows.values_list(*LogMark._fields)[:MARKS_MAX]]


def _aware(at: datetime | None) -> datetime | None:
    """SQLite's times are UTC without saying so; what is no time there is None."""
    return at if at is None or is_aware(at) else make_aware(at, UTC)


class Unsaved(NamedTuple):
    """What a snapshot lacks. Nobody changes it any more, so any thread may save it."""

    snapshot: Snapshot
    known: Remembered
    """With the crons that changed, or all of them where there is no snapshot."""
    unreadable: int
    """How many events the fold went without."""
    changes: int
    """The last change that is in it."""


class Snapshot:
    """The rows as one process knows them: it loads them once, and then writes what changed."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        """Of each row that is in the table and right."""
        self._head: Any = None
        """The head that is in the table."""
        self.changes = 1
        """The last change of the states that is in it."""

    @property
    def is_empty(self) -> bool:
        """Nothing that is in the table is of use."""
        return not self._digests

    def load(self, unreadable: int) -> Remembered | None:
        """None when there is none, or it is not whole, or its fold went without another number of
        events than ``unreadable``: then the log has to be folded."""
        rows = {row.name: row for row in CronSnapshot.objects.using(conf().database)}
        head = rows.pop(POSITION_ROW, None)
        if head is None:
            return None
        try:
            digests = {name: _digest(name, row.position, row.state) for name, row in rows.items()}
            marks = head.state["marks"]
            if head.state != _head(digests, head.position, unreadable, marks):
                raise ValueError("its rows are not those that were saved")
            seen = [LogMark.from_data(mark) for mark in marks]
            crons = {name: CronState.from_data(name, row.state) for name, row in rows.items()}
        except Exception as error:  # whatever it holds: it is a cache
            log.warning(
                "The snapshot is not used (%s); the log is folded from its start.",
                clause(error),
                extra={"action": "snapshot_refused"},
            )
            return None
        self._digests, self._head = digests, head.state
        return Remembered(head.position, crons, seen)

    def save(
        self,
        unsaved: Unsaved,
        still_leads: Callable[[], bool],
        pause: Callable[[], None] = lambda: None,
    ) -> bool:
        """Write the changed states and the head, or all of them where nothing was loaded; False
        when another runner leads by now, or has saved since, and nothing was written.

        What takes long comes before the transaction, and the lease, which others renew, at its end. ``pause`` is
        called before each piece of it.
        """
        canonical, as_json = _pausing(_canonical, pause), _pausing(json.dumps, pause)
        database, (position, states, marks) = conf().database, unsaved.known
        whole = self.is_empty
        data_of = _pausing(CronState.to_data, pause)
        rows = [(name, position, data_of(state)) for name, state in sorted(states.items())]
        digests = {**self._digests, **{row[0]: _digest(*row, canonical) for row in rows}}
        head = _head(digests, position, unsaved.unreadable, [mark.to_data() for mark in marks])
        rows.append((POSITION_ROW, position, head))
        stored_rows = [(*row[:2], _in_pieces(row[2], as_json)) for row in rows]
        db, stored = connections[database], CronSnapshot.objects.using(database)
        bounds = backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, STATEMENT_SECONDS_MAX)
        with bounds, transaction.atomic(using=database):
            if whole:  # rows of crons that the log does not have, and of damage
                stored.all().delete()
            elif not self._is_in(stored):
                self.forget()
                return False
            else:
                for start in range(0, len(rows), 500):
                    stored.filter(name__in=[row[0] for row in rows[start : start + 500]]).delete()
            backend_of(db).tables.insert(db, CronSnapshot, stored_rows)
            if not still_leads():
                transaction.set_rollback(True, using=database)
                return False
        self._digests, self._head, self.changes = digests, head, unsaved.changes
        return True

    def _is_in(self, stored: QuerySet[CronSnapshot]) -> bool:
        """Whether the rows in the table are those that are known. Nobody changes them until the end
        of the transaction."""
        head = stored.filter(name=POSITION_ROW)
        head.update(position=F("position"))
        return bool(head.values_list("state", flat=True).first() == self._head)

    def forget(self) -> None:
        """What is saved next replaces all of it."""
        self._digests, self._head, self.changes = {}, None, 0


def _head(
    digests: Mapping[str, str], position: int, unreadable: int, marks: list[Any]
) -> dict[str, Any]:
    told = "\n".join([json.dumps(marks), *(f"{digests[name]} {name}" for name in sorted(digests))])
    checksum = hashlib.sha256(f"{FORMAT} {position} {unreadable}\n{told}".encode()).hexdigest()
    return {
        "crons": len(digests),
        "format": FORMAT,
        "unreadable": unreadable,
        "marks": marks,
        "checksum": checksum,
    }


def _digest(
    name: str, position: int, state: Any, canonical: Callable[[Any], str] | None = None
) -> str:
    pieces = _in_pieces(state, canonical or _canonical)
    text = f"[{json.dumps(name)},{position},{pieces}]"
    return hashlib.sha256(text.encode()).hexdigest()


def _in_pieces(state: Any, encode: Callable[[Any], str]) -> str:
    """The JSON of a state, made bit by bit where it is long: what Python encodes at one go, 20,000 open runs, would
    stop all other threads for a tenth of a second."""
    if not isinstance(state, dict) or not any(map(_is_long, state.values())):
        return encode(state)
    fields = [f"{json.dumps(key)}:{_list_in_pieces(state[key], encode)}" for key in sorted(state)]
    return f"{{{','.join(fields)}}}"


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and len(value) > PIECE_ITEMS


def _list_in_pieces(value: Any, encode: Callable[[Any], str]) -> str:
    if not _is_long(value):
        return encode(value)
    starts = range(0, len(value), PIECE_ITEMS)
    return f"[{','.join([encode(value[at : at + PIECE_ITEMS])[1:-1] for at in starts])}]"


def _pausing(make: Callable[[P], M], pause: Callable[[], None]) -> Callable[[P], M]:
    def make_after_a_pause(part: P) -> M:
        pause()
        return make(part)

    return make_after_a_pause


def _canonical(part: Any) -> str:
    """What the databases give back: 1e16 comes back as an integer from one of them."""
    same = json.loads(json.dumps(part), parse_float=_number, parse_int=_number)
    return json.dumps(same, sort_keys=True, separators=(",", ":"))


def _number(text: str) -> str:
    return str((Decimal(text) + 0).normalize())
