"""Attack by role: what the database refuses at once, and what ``verify`` finds afterwards, with its place.

docs/seals.md has the same table in words. Each attack is on events that are sealed, and of which a
checkpoint stands outside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from rqcron_events.errors import LedgerUnavailable
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSeal, CronTile
from rqcron_events.seals import walk
from rqcron_events.seals.difference import Kind
from rqcron_events.seals.verify import Verification
from tests.sealing import (
    KEY,
    execute,
    fire,
    gap,
    history,
    ids,
    keep_outside,
    run_of,
    seal,
    verified,
)

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db


@dataclass(slots=True)
class Log:
    """Two crons of two runs each: ids 0-8 are of alpha, then a gap (on PostgreSQL), 9-17 of beta."""

    ids: list[int]
    outside: Path

    def id(self, number: int) -> int:
        return self.ids[number]


@pytest.fixture
def log(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
    monkeypatch.setattr(os, "fsync", lambda file: None)
    history("alpha")
    gap()
    history("beta")
    seal()
    keep_outside(tmp_path)
    assert verified(tmp_path).ok
    return Log(ids(), tmp_path)


@pytest.fixture(params=["cron_owner", "superuser"])
def strong(request: pytest.FixtureRequest, log: Log, postgresql: None) -> Iterator[None]:
    """Who owns the tables, and who may do anything."""
    if request.param == "superuser":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE cron_owner; GRANT ALL ON SCHEMA public TO cron_owner")
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'rqcron%'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} OWNER TO cron_owner")
        for function in ("event_fence", "event_refuse", "segment_guard"):
            cursor.execute(f"ALTER FUNCTION rqcron_{function}() OWNER TO cron_owner")
        cursor.execute("SET LOCAL ROLE cron_owner")
    yield
    execute("RESET ROLE")


@pytest.fixture
def runtime(log: Log, postgresql: None) -> Iterator[None]:
    """A role with exactly the grants of docs/hardening.md."""
    grants, _ = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/hardening.md").read_text(), re.DOTALL)
    execute(grants, "SET LOCAL ROLE cron_runtime")
    yield
    execute("RESET ROLE")


Change = Callable[[Log], list[str]]


def update(log: Log) -> list[str]:
    return [f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {log.id(5)}"]


def change_a_word(log: Log) -> list[str]:
    data = """'{"error": {"type": "E", "message": "all was well"}}'"""
    return [f"UPDATE rqcron_event SET data = {data} WHERE id = {log.id(4)}"]


def delete(log: Log) -> list[str]:
    return [f"DELETE FROM rqcron_event WHERE id = {log.id(5)}"]


def delete_a_cron(log: Log) -> list[str]:
    return ["DELETE FROM rqcron_event WHERE cron = 'alpha'"]


def delete_the_newest_decision_and_its_run(log: Log) -> list[str]:
    run = run_of("beta", 2)
    return [f"DELETE FROM rqcron_event WHERE run_id = {_run(run)}"]


def empty(log: Log) -> list[str]:
    is_sqlite = connection.vendor == "sqlite"
    return ["DELETE FROM rqcron_event" if is_sqlite else "TRUNCATE rqcron_event"]


def reorder(log: Log) -> list[str]:
    """Two events in each other's place."""
    one, two = log.id(10), log.id(12)
    moves = [(one, -1), (two, one), (-1, two)]
    return [f"UPDATE rqcron_event SET id = {new} WHERE id = {old}" for old, new in moves]


def swap_two_runs(log: Log) -> list[str]:
    """What became of one run is told of the other."""
    one, two, none = run_of("alpha", 1), run_of("alpha", 2), run_of("none", 1)
    statements = []
    for old, new in ((one, none), (two, one), (none, two)):
        statements.append(
            f"UPDATE rqcron_event SET run_id = {_run(new)}, stream = 'run/{new}' "
            f"WHERE stream = 'run/{old}'"
        )
    return statements


def _run(run: Any) -> str:
    return f"'{run.hex}'" if connection.vendor == "sqlite" else f"'{run}'"


COPY = "version + 100, type, schema_version, cron, occurred_at, recorded_at, actor, reason, data"
NAMES = "version, type, schema_version, cron, occurred_at, recorded_at, actor, reason, data"


def insert_with_an_old_id(log: Log) -> list[str]:
    old, override = -1, ""
    if connection.vendor == "postgresql":
        old, override = log.id(8) + 1, "OVERRIDING SYSTEM VALUE"
    return [
        f"INSERT INTO rqcron_event (id, stream, {NAMES}) {override} SELECT {old}, 'cron/alpha', {COPY} "
        f"FROM rqcron_event WHERE id = {log.id(0)}"
    ]


CHANGES: dict[Change, tuple[Kind, int]] = {
    update: (Kind.DIFFERS, 5),
    change_a_word: (Kind.DIFFERS, 4),
    delete: (Kind.MISSING, 4),
    delete_a_cron: (Kind.MISSING, -1),
    delete_the_newest_decision_and_its_run: (Kind.MISSING, 13),
    empty: (Kind.MISSING, -1),
    reorder: (Kind.OUT_OF_PLACE, 10),
    swap_two_runs: (Kind.DIFFERS, 2),
}
"""What it is taken for, and at which event; of what is missing, the one before it."""


BY_THE_DATABASE = "append-only|can only be updated to DEFAULT"
AT_ONCE = f"{BY_THE_DATABASE}|permission denied|must be owner"


def place(log: Log, number: int) -> int:
    return log.id(number) if number >= 0 else 0


def refused(statements: list[str], what: str = AT_ONCE) -> None:
    with pytest.raises(DatabaseError, match=what), transaction.atomic():
        execute(*statements)


def first(found: Verification) -> tuple[Kind, int | None]:
    assert not found.ok
    return found.findings[0].kind, found.findings[0].event_id


def is_found(log: Log, kind: Kind, event_id: int) -> None:
    """By the seals in the database, and by what was kept outside alone."""
    assert first(verified()) == (kind, event_id)
    with transaction.atomic():
        CronSeal.objects.all().delete()
        CronTile.objects.all().delete()
        assert first(verified(log.outside)) == (kind, event_id)
        transaction.set_rollback(True)


# --- on PostgreSQL

IDS_AS_ONE_LIKES = "ALTER TABLE rqcron_event ALTER COLUMN id SET GENERATED BY DEFAULT"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_runtime_role_is_refused_at_once(change: Change, log: Log, runtime: None):
    refused(change(log))
    assert verified(log.outside).ok


TO_BE_READY = {
    "no triggers": "ALTER TABLE rqcron_event DISABLE TRIGGER ALL",
    "a trigger less": "DROP TRIGGER rqcron_event_no_change ON rqcron_event",
    "another function": "CREATE OR REPLACE FUNCTION rqcron_event_refuse() RETURNS trigger "
    "LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$",
    "another type": "ALTER TABLE rqcron_event ALTER COLUMN actor TYPE text USING 'mallory'",
    "a rule": "CREATE RULE swallow AS ON INSERT TO rqcron_event DO INSTEAD NOTHING",
    "a child": "CREATE TABLE child () INHERITS (rqcron_event)",
    "row security": "ALTER TABLE rqcron_event ENABLE ROW LEVEL SECURITY",
    "an id": "INSERT INTO rqcron_event (id) OVERRIDING SYSTEM VALUE VALUES (1)",
    "no seal": "DELETE FROM rqcron_seal",
    "another seal": "UPDATE rqcron_seal SET note = 'x'",
    "no tile": "DELETE FROM rqcron_tile",
}


@pytest.mark.parametrize("statement", TO_BE_READY.values(), ids=TO_BE_READY)
def test_the_runtime_role_cannot_get_ready(statement: str, log: Log, runtime: None):
    refused([statement])


def test_tiles_that_the_runtime_role_changes_are_found(log: Log, runtime: None):
    execute("UPDATE rqcron_tile SET hashes = overlay(hashes placing '\\x00' from 40)")
    assert first(verified()) == (Kind.TILE, None)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_triggers_refuse_everybody_at_once(change: Change, log: Log, strong: None):
    refused(change(log), BY_THE_DATABASE)
    assert verified(log.outside).ok


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_with_triggers_dropped_and_put_back_it_is_found(change: Change, log: Log, strong: None):
    backend_of(connection).remove_triggers(connection)
    execute(IDS_AS_ONE_LIKES, *change(log))
    backend_of(connection).install_triggers(connection)
    execute("ALTER TABLE rqcron_event ALTER COLUMN id SET GENERATED ALWAYS")
    kind, number = CHANGES[change]
    is_found(log, kind, place(log, number))


NO_CHANGE = "rqcron_event_no_change"
WAYS = {
    "the refusing function replaced, and put back": [
        "CREATE OR REPLACE FUNCTION rqcron_event_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RETURN NEW; END$$"
    ],
    "a trigger WHEN (false)": [
        f"DROP TRIGGER {NO_CHANGE} ON rqcron_event",
        f"CREATE TRIGGER {NO_CHANGE} BEFORE DELETE OR UPDATE ON rqcron_event FOR EACH ROW WHEN (false) "
        "EXECUTE FUNCTION rqcron_event_refuse()",
        f"ALTER TABLE rqcron_event ENABLE ALWAYS TRIGGER {NO_CHANGE}",
    ],
    "triggers disabled and enabled": [f"ALTER TABLE rqcron_event DISABLE TRIGGER {NO_CHANGE}"],
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_was_done_to_the_triggers_it_is_found(way: str, log: Log, strong: None):
    execute(*WAYS[way], *update(log))
    backend_of(connection).install_triggers(connection)
    is_found(log, Kind.DIFFERS, log.id(5))


def test_a_change_of_type_rewrites_rows_past_all_triggers_and_is_found(log: Log, strong: None):
    execute(
        "ALTER TABLE rqcron_event ALTER COLUMN actor TYPE varchar(200) USING "
        f"CASE WHEN id = {log.id(5)} THEN 'mallory' ELSE actor END"
    )
    assert backend_of(connection).missing_triggers(connection) == []
    is_found(log, Kind.DIFFERS, log.id(5))


def test_an_event_with_an_old_id_goes_in_and_is_found(log: Log, strong: None):
    execute(*insert_with_an_old_id(log))
    is_found(log, Kind.ADDED, log.id(8) + 1)


@pytest.mark.parametrize("old", ["in a gap", "twice", "twice, at the end of a page"])
def test_an_event_in_a_child_table_is_found(
    old: str, log: Log, strong: None, monkeypatch: pytest.MonkeyPatch
):
    if old == "twice, at the end of a page":  # the next one begins behind both
        monkeypatch.setattr(walk, "PAGE_EVENTS", 9)
    event_id = log.id(8) + (old == "in a gap")
    execute(
        "CREATE TABLE child () INHERITS (rqcron_event)",
        f"INSERT INTO child (id, stream, {NAMES}) SELECT {event_id}, 'cron/alpha', {COPY} "
        f"FROM rqcron_event WHERE id = {log.id(0)}",
    )
    assert first(verified()) == (Kind.ADDED, event_id)
    assert not verified(log.outside).ok


def test_row_security_that_hides_events_is_found_by_whom_it_blinds(log: Log, strong: None):
    execute(
        "ALTER TABLE rqcron_event ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY hide ON rqcron_event USING (id <> {log.id(5)})",
    )
    grants, _ = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/hardening.md").read_text(), re.DOTALL)
    execute("RESET ROLE", grants, "SET LOCAL ROLE cron_runtime")
    assert first(verified(log.outside)) == (Kind.MISSING, log.id(4))


SWALLOW = {
    "a rule": ["CREATE RULE swallow AS ON INSERT TO rqcron_event DO INSTEAD NOTHING"],
    "a trigger": [
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$",
        "CREATE TRIGGER a_swallow BEFORE INSERT ON rqcron_event FOR EACH ROW EXECUTE FUNCTION swallow()",
    ],
}


@pytest.mark.parametrize("by", SWALLOW)
def test_events_that_are_swallowed_are_refused_at_once(by: str, log: Log, strong: None):
    execute(*SWALLOW[by])
    with pytest.raises((LedgerUnavailable, DatabaseError)), transaction.atomic():
        fire("alpha", 3)
    assert verified(log.outside).ok


# --- on SQLite: whoever can write the file owns it


@pytest.mark.parametrize("change", [*CHANGES, insert_with_an_old_id], ids=lambda c: c.__name__)
def test_sqlite_refuses_at_once(change: Change, log: Log, sqlite: None):
    refused(change(log))
    assert verified(log.outside).ok


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_on_sqlite_with_triggers_dropped_and_put_back_it_is_found(
    change: Change, log: Log, sqlite: None
):
    backend_of(connection).remove_triggers(connection)
    execute(*change(log))
    backend_of(connection).install_triggers(connection)
    kind, number = CHANGES[change]
    is_found(log, kind, place(log, number))


def test_on_sqlite_an_id_that_no_reader_sees_is_found(log: Log, sqlite: None):
    backend_of(connection).remove_triggers(connection)
    execute(*insert_with_an_old_id(log))
    backend_of(connection).install_triggers(connection)
    assert first(verified()) == (Kind.ADDED, -1)


# --- on both: log and seals together


def copy_of_all() -> list[list[Any]]:
    return [list(model.objects.all()) for model in (CronEvent, CronSeal, CronTile)]


def without_triggers(work: Callable[[], None]) -> None:
    backend_of(connection).remove_triggers(connection)
    work()
    backend_of(connection).install_triggers(connection)


def restore(log_of_before: list[int]) -> None:
    """What is newer than an old copy is not there any more."""
    wanted = ", ".join(map(str, log_of_before))
    execute(f"DELETE FROM rqcron_event WHERE id NOT IN ({wanted})")
    CronSeal.objects.filter(size__gt=len(log_of_before)).delete()
    tile = CronTile.objects.get(path="0/000")
    tile.hashes = bytes(tile.hashes)[: 32 * len(log_of_before)]
    tile.save()


def test_an_old_copy_is_consistent_with_itself_and_is_found_by_what_is_outside(log: Log):
    fire("alpha", 3)
    seal()
    keep_outside(log.outside)
    without_triggers(lambda: restore(log.ids))
    assert verified().ok, "nothing in the copy tells of what came later"
    found = verified(log.outside)
    assert first(found) == (Kind.MISSING, log.ids[-1])
    assert found.findings[0].leaf == len(log.ids)
    assert found.findings[1].kind == Kind.SEAL
    fire("alpha", 4)  # and the copy goes on
    fire("alpha", 5)
    seal()
    kind, event_id = first(verified(log.outside))
    assert kind in (Kind.DIFFERS, Kind.MISSING)
    assert event_id in (ids()[len(log.ids)], log.ids[-1])


def test_log_and_seals_that_were_replaced_with_the_key_are_found_by_what_is_outside(log: Log):
    def work() -> None:
        execute(*update(log))
        CronSeal.objects.all().delete()
        CronTile.objects.all().delete()
        seal()

    without_triggers(work)
    assert verified().ok, "who has the key can sign anything"
    assert first(verified(log.outside)) == (Kind.DIFFERS, log.id(5))


def test_log_and_seals_that_were_replaced_without_the_key_are_found_at_once(log: Log):
    from rqcron_events.core.seal.note import new_signer

    def work() -> None:
        execute(*update(log))
        CronSeal.objects.all().delete()
        CronTile.objects.all().delete()
        seal(new_signer("example.org/crons"))

    without_triggers(work)
    assert first(verified())[0] == Kind.SEAL
    assert (Kind.DIFFERS, log.id(5)) in [
        (f.kind, f.event_id) for f in verified(log.outside).findings
    ]


def test_seals_that_were_taken_out_with_the_events_behind_them_are_found_by_what_is_outside(
    log: Log,
):
    note = CronSeal.objects.get().note
    assert note.encode() == (log.outside / "checkpoint").read_bytes()
    CronSeal.objects.all().delete()
    CronTile.objects.all().delete()
    assert first(verified()) == (Kind.NOT_SEALED, None)
    found = verified(log.outside)
    assert [f.kind for f in found.findings] == [Kind.SEAL], "the events are right"
