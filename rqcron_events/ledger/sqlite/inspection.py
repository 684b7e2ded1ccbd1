"""What ``manage.py check --database`` compares on SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ..doors.problem import Problem

__all__ = ["disk_free_bytes", "event_bytes", "log_bytes", "problems"]

MIGRATE = "Run: manage.py migrate"


def problems(db: BaseDatabaseWrapper, triggers: Mapping[str, str]) -> list[Problem]:
    """What is not as the migrations made it. ``triggers`` are the statements that make them."""
    return [*_triggers(db, triggers), *_table(db), *_ids(db)]


def log_bytes(db: BaseDatabaseWrapper) -> int:
    return int(_rows(db, "PRAGMA page_count")[0][0] * _rows(db, "PRAGMA page_size")[0][0])


def event_bytes(db: BaseDatabaseWrapper) -> float | None:
    """What grows with the log in the same file counts, too, such as projections."""
    first, last = "SELECT min(id) - 1 FROM rqcron_event", "SELECT max(id) FROM rqcron_event"
    archived = "coalesce((SELECT max(last_id) FROM rqcron_segment), 0)"
    events = _rows(db, f"SELECT ({last}) - max(({first}), {archived})")[0][0]
    free = _rows(db, "PRAGMA freelist_count")[0][0] * _rows(db, "PRAGMA page_size")[0][0]
    return (log_bytes(db) - free) / events if events else None


def disk_free_bytes(db: BaseDatabaseWrapper) -> int | None:
    """None of a database in memory."""
    found = _rows(db, "SELECT file FROM pragma_database_list WHERE name = 'main'")
    with suppress(OSError):
        return shutil.disk_usage(Path(found[0][0]).parent).free if found[0][0] else None
    return None


def _triggers(db: BaseDatabaseWrapper, triggers: Mapping[str, str]) -> Iterator[Problem]:
    found = dict(
        _rows(db, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' "
                  "AND tbl_name IN ('rqcron_event', 'rqcron_segment')")
    )  # fmt: skip
    missing = [name for name in triggers if name not in found]
    if missing:
        yield Problem(
            "E005",
            f"Triggers {', '.join(missing)} are missing on rqcron_event or rqcron_segment: "
            "events could be changed, go without being archived, or be missed by readers.",
            MIGRATE,
        )
    for name, statement in found.items():
        if name not in triggers:
            yield Problem(
                "E006",
                f"Trigger {name} on rqcron_event can refuse events or take them away: "
                f"{_words(statement):.200}",
                f"If it is not meant: DROP TRIGGER {name}",
            )
        elif _words(statement) != _words(triggers[name]):
            yield Problem("E005", f"Trigger {name} is not ours: {_words(statement):.200}", MIGRATE)


def _table(db: BaseDatabaseWrapper) -> Iterator[Problem]:
    kind, sql = _rows(
        db, "SELECT type, sql FROM sqlite_master WHERE name = 'rqcron_event' AND type <> 'index'"
    )[0]
    if kind != "table":
        yield Problem(
            "E009",
            f"rqcron_event is a {kind}: only a table keeps versions unique.",
            "Put its rows into a table that manage.py migrate made.",
        )
        return
    if "AUTOINCREMENT" not in sql.upper():
        yield Problem(
            "E007",
            "Column id of rqcron_event has no AUTOINCREMENT: ids of rows that are gone come again.",
            "Put its rows into a table that manage.py migrate made.",
        )
    unique = {
        tuple(column for _, _, column in _rows(db, f"PRAGMA index_info('{index[1]}')"))
        for index in _rows(db, "PRAGMA index_list('rqcron_event')")
        if index[2] and not index[4]  # unique, not partial
    }
    if ("stream", "version") not in unique:
        yield Problem(
            "E008",
            "rqcron_event has no UNIQUE (stream, version): two writers could both append there.",
            "Run: CREATE UNIQUE INDEX rqcron_event_stream_version ON rqcron_event "
            "(stream, version)",
        )


def _ids(db: BaseDatabaseWrapper) -> Iterator[Problem]:
    oldest, newest = _rows(db, "SELECT MIN(id), MAX(id) FROM rqcron_event")[0]
    if oldest is not None and oldest < 1:
        yield Problem(
            "E007",
            f"rqcron_event has id {oldest}: readers begin at 1, so they never see it.",
            "Append an event that says what this one does.",
        )
    if newest is not None and newest > 2**62:
        yield Problem(
            "E007",
            f"rqcron_event has id {newest}: ids are nearly used up, and then no event can be "
            "appended.",
            "Put its rows into a table that manage.py migrate made.",
        )


def _words(text: str) -> str:
    return " ".join(text.split()).rstrip(";")


def _rows(db: BaseDatabaseWrapper, statement: str) -> list[Any]:
    with db.cursor() as cursor:
        cursor.execute(statement)
        rows: list[Any] = cursor.fetchall()
        return rows
