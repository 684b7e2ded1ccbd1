"""I6: the database itself refuses to change the log, whoever asks and however."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F, sql

from rqcron_events.apps import lift_triggers
from rqcron_events.checks import check_tables
from rqcron_events.errors import AppendOnlyError
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent

from .writing import event, events, row

pytestmark = pytest.mark.django_db

COLUMNS = "stream, version, type, schema_version, cron, reason, actor, occurred_at, data"
SAME_VERSION = f"SELECT {COLUMNS} FROM rqcron_event WHERE version = 1"
SAME_ID = (
    "SELECT id, 'cron/x', version, type, schema_version, 'x', reason, actor, occurred_at, data "
    "FROM rqcron_event WHERE version = 1"
)
INSERT = f"rqcron_event ({COLUMNS}) {SAME_VERSION}"

EVERYWHERE = {
    "UPDATE": "UPDATE rqcron_event SET reason = 'changed' WHERE version = 1",
    "UPDATE of nothing new": "UPDATE rqcron_event SET reason = reason",
    "UPDATE of the id": "UPDATE rqcron_event SET id = id + 1000",
    "DELETE": "DELETE FROM rqcron_event WHERE version = 3",
    "DELETE of all": "DELETE FROM rqcron_event",
    "upsert": f"INSERT INTO {INSERT} ON CONFLICT (stream, version) DO UPDATE SET reason = 'changed'",
}
POSTGRESQL = {
    "TRUNCATE": "TRUNCATE rqcron_event",
    "TRUNCATE CASCADE": "TRUNCATE rqcron_event RESTART IDENTITY CASCADE",
    "DELETE USING": "DELETE FROM rqcron_event USING rqcron_event AS other WHERE other.version = 1",
    "UPDATE in a CTE": "WITH changed AS (UPDATE rqcron_event SET reason = 'changed' RETURNING 1) "
    "SELECT count(*) FROM changed",
    "MERGE": "MERGE INTO rqcron_event USING (SELECT 1 AS version) AS given "
    "ON rqcron_event.version = given.version WHEN MATCHED THEN DELETE",
}
SQLITE = {
    "INSERT OR REPLACE": f"INSERT OR REPLACE INTO {INSERT}",
    "REPLACE": f"REPLACE INTO {INSERT}",
    "REPLACE of an id": f"REPLACE INTO rqcron_event (id, {COLUMNS}) {SAME_ID}",
    "INSERT OR IGNORE of an id": f"INSERT OR IGNORE INTO rqcron_event (id, {COLUMNS}) {SAME_ID}",
    "UPDATE OR REPLACE": "UPDATE OR REPLACE rqcron_event SET version = 2 WHERE version = 1",
    "UPDATE OR IGNORE": "UPDATE OR IGNORE rqcron_event SET reason = 'changed'",
    "DELETE with recursive triggers": "DELETE FROM rqcron_event WHERE version = 1",
}


@pytest.fixture
def three_events():
    store.append(events(count=3))
    before = store.read_stream("cron/alpha")
    yield
    assert store.read_stream("cron/alpha") == before
    assert CronEvent.objects.count() == 3


def refuses(statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match=r"rqcron_event is append-only|updated to DEFAULT"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.parametrize("statement", EVERYWHERE)
def test_the_database_refuses(statement, three_events):
    refuses(EVERYWHERE[statement])


@pytest.mark.parametrize("statement", POSTGRESQL)
def test_postgresql_refuses(statement, three_events, postgresql):
    refuses(POSTGRESQL[statement])


@pytest.mark.parametrize("statement", SQLITE)
def test_sqlite_refuses(statement, three_events, sqlite):
    refuses(SQLITE[statement])


@pytest.mark.parametrize("statement", {**EVERYWHERE, "TRUNCATE": POSTGRESQL["TRUNCATE"]})
def test_postgresql_refuses_in_a_replication_session_too(statement, three_events, postgresql):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        refuses({**EVERYWHERE, **POSTGRESQL}[statement])
        cursor.execute("SET LOCAL session_replication_role = origin")


def raw_delete():
    queryset = CronEvent._base_manager.all()
    queryset._raw_delete(queryset.db)


ORM = {
    "queryset.update": lambda: CronEvent.objects.update(reason="changed"),
    "filtered update": lambda: CronEvent.objects.filter(version=1).update(version=F("version") + 9),
    "queryset.delete": lambda: CronEvent.objects.all().delete(),
    "delete": lambda: CronEvent.objects.first().delete(),
    "save": lambda: CronEvent.objects.first().save(),
    "save(update_fields)": lambda: CronEvent.objects.first().save(update_fields=["reason"]),
    "bulk_update": lambda: CronEvent.objects.bulk_update([CronEvent.objects.first()], ["reason"]),
    "update_or_create": lambda: CronEvent.objects.update_or_create(
        stream="cron/alpha", version=1, defaults={"reason": "changed"}
    ),
}
AROUND_THE_ORM = {
    "the base manager's update": lambda: CronEvent._base_manager.update(reason="changed"),
    "the base manager's delete": lambda: CronEvent._base_manager.all().delete(),
    "_raw_delete": raw_delete,
    "UpdateQuery": lambda: sql.UpdateQuery(CronEvent).update_batch(
        [CronEvent.objects.first().pk], {"reason": "changed"}, connection.alias
    ),
    "save over an id": lambda: row_with_taken_id().save(),
    "save_base": lambda: CronEvent.objects.first().save_base(),
    "bulk_create(update_conflicts)": lambda: CronEvent.objects.bulk_create(
        [row(event(reason="changed"))],
        update_conflicts=True,
        unique_fields=["stream", "version"],
        update_fields=["reason"],
    ),
}


def row_with_taken_id():
    found = row(event("cron/beta"))
    found.pk = CronEvent.objects.first().pk
    return found


@pytest.mark.parametrize("way", ORM)
def test_the_model_refuses_and_says_what_to_do_instead(way, three_events):
    with (
        pytest.raises(AppendOnlyError, match="Append an event that corrects it instead"),
        transaction.atomic(),
    ):
        ORM[way]()


@pytest.mark.parametrize("way", AROUND_THE_ORM)
def test_what_goes_around_the_model_is_refused_by_the_database(way, three_events):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AROUND_THE_ORM[way]()


def test_a_refused_change_takes_its_transaction_with_it():
    store.append([event()])
    with pytest.raises(DatabaseError), transaction.atomic():
        store.append([event(version=2)])
        CronEvent._base_manager.update(reason="changed")
    assert len(store.read_stream("cron/alpha")) == 1


# --- the triggers themselves


def drop(trigger: str) -> str:
    on = " ON rqcron_event" if connection.vendor == "postgresql" else ""
    return f"DROP TRIGGER {trigger}{on}"


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_check_is_content_after_migrate():
    assert check_tables(databases=["default"]) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_missing_trigger_is_an_error_that_names_it(number):
    trigger = backend_of(connection).TRIGGERS[number]
    execute(drop(trigger))
    [message] = check_tables(databases=["default"])
    assert message.id == "rqcron_events.E005"
    assert trigger in message.msg
    assert "'default'" in message.msg


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("state", ["DISABLE", "ENABLE", "ENABLE REPLICA"])
def test_a_trigger_that_does_not_always_fire_is_missing(number, state, postgresql):
    trigger = backend_of(connection).TRIGGERS[number]
    execute(f"ALTER TABLE rqcron_event {state} TRIGGER {trigger}")
    [message] = check_tables(databases=["default"])
    assert message.id == "rqcron_events.E005"
    assert trigger in message.msg


def test_the_check_needs_the_database_to_be_asked_for():
    backend_of(connection).remove_triggers(connection)
    assert check_tables(databases=None) == []
    assert check_tables(databases=[]) == []
    assert len(check_tables(databases=["default"])) == 1


@pytest.mark.django_db(transaction=True)
def test_the_remedy_of_the_check_works():
    backend_of(connection).remove_triggers(connection)
    try:
        [message] = check_tables(databases=["default"])
        commands = message.hint.removeprefix("Run: ").split(" && ")
        for command in commands:
            assert command.startswith("manage.py ")
            call_command(*command.split()[1:], verbosity=0)
        assert check_tables(databases=["default"]) == []
    finally:
        backend_of(connection).install_triggers(connection)


@pytest.mark.django_db(transaction=True)
def test_migrate_restores_the_triggers_that_a_remake_of_the_table_dropped(sqlite):
    store.append(events(count=3))
    try:
        # What migrate, and in it SQLite's schema editor, does for most ALTER TABLE operations.
        lift_triggers(using="default")
        with connection.constraint_checks_disabled(), connection.schema_editor() as editor:
            editor._remake_table(CronEvent)
        assert backend_of(connection).missing_triggers(connection)
        call_command("migrate", verbosity=0)
        assert backend_of(connection).missing_triggers(connection) == []
        refuses(EVERYWHERE["DELETE of all"])
        assert len(store.read_stream("cron/alpha")) == 3
    finally:
        backend_of(connection).install_triggers(connection)


def test_the_triggers_can_be_installed_twice():
    backend_of(connection).install_triggers(connection)
    store.append([event()])
    refuses(EVERYWHERE["DELETE of all"])
    assert backend_of(connection).missing_triggers(connection) == []


@pytest.mark.django_db(transaction=True)
def test_taking_the_migration_back_removes_everything_that_it_installed():
    part = backend_of(connection)
    try:
        with nullcontext() if connection.vendor == "sqlite" else transaction.atomic():
            part.remove_triggers(connection)
        assert part.missing_triggers(connection) == list(part.TRIGGERS)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'rqcron%'")
                assert cursor.fetchall() == []
    finally:
        part.install_triggers(connection)
