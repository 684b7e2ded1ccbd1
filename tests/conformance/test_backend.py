"""What the ledger asks a database for beside reading and writing events."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from django.db import OperationalError, connection

from rqcron_events.errors import CronConfigError
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import BACKENDS, backend_of

from .writing import WAIT_SECONDS_MAX, Writer

FOREVER = {
    "postgresql": "SELECT pg_sleep(600)",
    "sqlite": (
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) "
        "SELECT COUNT(*) FROM number"
    ),
}


@pytest.mark.django_db(transaction=True)
def test_another_thread_ends_a_statement() -> None:
    used = []

    def wait() -> None:
        used.append(store.connection())
        with pytest.raises(OperationalError), used[0].cursor() as cursor:
            cursor.execute(FOREVER[connection.vendor])

    statement = Writer(wait)
    statement.start()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while statement.is_alive() and time.monotonic() < deadline:
        statement.join(0.05)
        if used and used[0].connection is not None:
            backend_of(used[0]).interrupt(used[0])
    statement.finish()


def test_a_place_is_named_without_user_and_password() -> None:
    db = connection.copy()
    login = {"USER": "ada", "PASSWORD": "secret"}
    db.settings_dict |= {"NAME": "shop", "HOST": "db.example", "PORT": "5433", **login}
    assert (
        backend_of(db).place(db)
        == {
            "postgresql": "PostgreSQL shop at db.example:5433",
            "sqlite": "SQLite shop",
        }[db.vendor]
    )


def test_a_database_without_a_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(BACKENDS, connection.vendor)
    with pytest.raises(CronConfigError, match=rf"cannot live in a {connection.vendor} database"):
        backend_of(connection)


WAITS = {
    "postgresql": "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')",
    "sqlite": "PRAGMA busy_timeout",
}


@pytest.mark.django_db
def test_what_follows_in_a_callers_transaction_waits_as_long_as_before() -> None:
    def waits() -> tuple[object, ...]:
        with connection.cursor() as cursor:
            cursor.execute(WAITS[connection.vendor])
            return tuple(cursor.fetchone())

    before = waits()
    with backend_of(connection).not_waiting(connection, 1, 2):
        pass
    assert waits() == before
    with suppress(ZeroDivisionError), backend_of(connection).not_waiting(connection, 1, 2):
        raise ZeroDivisionError
    assert waits() == before
