"""The snapshot: the folded state of each cron in a table, so that a runner need not fold the log.

It is a cache that anybody can write to, so nothing is believed of it but what its head vouches for:
the number of rows, their checksum, and how many events its fold went without.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connections, transaction

from ..conf import conf
from ..core.cron_state import CronState
from ..core.wording import clause
from ..models import CronSnapshot
from .backend import backend_of

__all__ = ["FORMAT", "POSITION_ROW", "Loaded", "Snapshot"]

log = logging.getLogger(__name__)

POSITION_ROW = ""
FORMAT = 3
"""Raise it when ``CronState.to_data`` changes, and old snapshots are ignored."""


class Loaded(NamedTuple):
    """What a snapshot holds."""

    position: int
    crons: dict[str, CronState]


class Snapshot:
    """The rows as one process knows them: it loads them once, and then writes what changed."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        """Of each row that is in the table and right."""

    def load(self, unreadable: int) -> Loaded | None:
        """None when there is none, or it is not whole, or its fold went without another number of
        events than ``unreadable``: then the log has to be folded."""
        rows = {row.name: row for row in CronSnapshot.objects.using(conf().database).iterator()}
        head = rows.pop(POSITION_ROW, None)
        if head is None:
            return None
        try:
            digests = {name: _digest(name, row.position, row.state) for name, row in rows.items()}
            if head.state != _head(digests, head.position, unreadable):
                raise ValueError("its rows are not those that were saved")
            crons = {name: CronState.from_data(name, row.state) for name, row in rows.items()}
        except Exception as error:  # whatever it holds: it is a cache
            log.warning(
                "The snapshot is not used (%s); the log is folded from its start.",
                clause(error),
                extra={"action": "snapshot_refused"},
            )
            return None
        self._digests = digests
        return Loaded(head.position, crons)

    def save(
        self,
        states: Mapping[str, CronState],
        changed: Iterable[str],
        *,
        position: int,
        unreadable: int,
        still_leads: Callable[[], bool],
    ) -> bool:
        """Write the changed states and the head, or all of them where nothing was loaded; False
        when another runner leads by now, and nothing was written."""
        database = conf().database
        whole = not self._digests
        names = sorted(states if whole else changed)
        rows = [(name, position, states[name].to_data()) for name in names]
        digests = {**self._digests, **{row[0]: _digest(*row) for row in rows}}
        head = _head(digests, position, unreadable)
        rows.append((POSITION_ROW, position, head))
        db, stored = connections[database], CronSnapshot.objects.using(database)
        with transaction.atomic(using=database):
            if not still_leads():
                return False
            if whole:  # rows of crons that the log does not have, and of damage
                stored.all().delete()
            else:
                for start in range(0, len(rows), 500):
                    stored.filter(name__in=[row[0] for row in rows[start : start + 500]]).delete()
            backend_of(db).tables.insert(db, CronSnapshot, rows)
        self._digests = digests
        return True


def _head(digests: Mapping[str, str], position: int, unreadable: int) -> dict[str, Any]:
    told = "\n".join(f"{digests[name]} {name}" for name in sorted(digests))
    checksum = hashlib.sha256(f"{FORMAT} {position} {unreadable}\n{told}".encode()).hexdigest()
    return {
        "crons": len(digests),
        "format": FORMAT,
        "unreadable": unreadable,
        "checksum": checksum,
    }


def _digest(name: str, position: int, state: Any) -> str:
    text = json.dumps(_canonical([name, position, state]), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(state: Any) -> Any:
    """What the databases give back: 1e16 comes back as an integer from one of them."""
    return json.loads(json.dumps(state), parse_float=_number, parse_int=_number)


def _number(text: str) -> str:
    return str((Decimal(text) + 0).normalize())
