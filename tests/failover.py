"""A failover: a copy of the test database takes its place, as a replica or a restored backup does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from django.db import connection
from psycopg import sql

__all__ = ["Databases", "paused"]


class Databases:
    """The test database, and a copy of it that takes its place later.

    Whoever is connected loses the connection, the test itself too.
    """

    def __init__(self) -> None:
        settings = connection.settings_dict
        self.live = str(settings["NAME"])
        self.copy, self.lost = f"{self.live}_copy", f"{self.live}_lost"
        connection.close()
        self._server = psycopg.connect(
            host=settings["HOST"], port=settings["PORT"] or None, user=settings["USER"],
            password=settings["PASSWORD"] or None, dbname="postgres", autocommit=True,
        )  # fmt: skip

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *_: object) -> None:
        connection.close()
        for name in (self.copy, self.lost):
            self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        self._server.close()

    def take_copy(self) -> None:
        """As a replica that will be promoted, or a backup, has it."""
        with self._nobody_connected(self.live):
            self._do("CREATE DATABASE {} TEMPLATE {}", self.copy, self.live)

    def go_back(self) -> None:
        """To the copy."""
        with self._nobody_connected(self.live, self.copy):
            self._do("ALTER DATABASE {} RENAME TO {}", self.live, self.lost)
            self._do("ALTER DATABASE {} RENAME TO {}", self.copy, self.live)

    @contextmanager
    def _nobody_connected(self, *names: str) -> Iterator[None]:
        for name in names:
            self._do("ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
            self._server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                [name],
            )
        yield
        self._do("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.live)

    def _do(self, statement: str, *names: str) -> None:
        self._server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def paused(pooler_url: str) -> Iterator[None]:
    """PgBouncer holds its clients back meanwhile: they see no connection end."""
    url = urlsplit(pooler_url)
    console = psycopg.connect(
        host=url.hostname, port=url.port, user=url.username, dbname="pgbouncer", autocommit=True
    )
    with console:
        console.execute("PAUSE")
        yield
        console.execute("RESUME")
