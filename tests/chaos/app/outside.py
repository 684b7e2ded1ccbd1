"""What the crons did, in a table that neither the ledger nor RQ knows of.

Plain sqlite3 on the machine's own disk, so it is written even when both servers are away.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rqcron_events.worker import CurrentRun

__all__ = ["Row", "attempt", "create", "read"]

VARIABLE = "CHAOS_DB"
"""Path of the table's file."""
WAIT_SECONDS_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One execution of a cron's function."""

    id: int
    cron: str
    run_id: str
    slot: str
    attempt: int
    pid: int
    """Of the work-horse."""
    began_at: float
    """Seconds since the epoch."""
    ended_at: float | None
    """None when the process did not live to its end."""
    ended: str | None
    """``well`` or ``raised``."""


def create(path: str) -> None:
    with _connected(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE attempt (id INTEGER PRIMARY KEY, cron TEXT, run_id TEXT, slot TEXT,"
            " attempt INTEGER, pid INTEGER, began_at REAL, ended_at REAL, ended TEXT)"
        )


@contextmanager
def attempt() -> Iterator[CurrentRun]:
    """A row that begins and ends with the block."""
    from rqcron_events import current_run

    run = current_run()
    assert run is not None
    slot = run.slot.isoformat() if run.slot else ""
    path = os.environ[VARIABLE]
    values = (run.cron, str(run.run_id), slot, run.attempt, os.getpid(), time.time())
    with _connected(path) as connection:
        row = connection.execute(
            "INSERT INTO attempt (cron, run_id, slot, attempt, pid, began_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            values,
        ).lastrowid
    ended = "raised"
    try:
        yield run
        ended = "well"
    finally:
        with _connected(path) as connection:
            connection.execute(
                "UPDATE attempt SET ended_at = ?, ended = ? WHERE id = ?", (time.time(), ended, row)
            )


def read(path: str) -> list[Row]:
    with _connected(path) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM attempt ORDER BY began_at")
        return [Row(**dict(row)) for row in found]


def _connected(path: str) -> closing[sqlite3.Connection]:
    # isolation_level None: each statement is its own transaction.
    return closing(sqlite3.connect(path, timeout=WAIT_SECONDS_MAX, isolation_level=None))
