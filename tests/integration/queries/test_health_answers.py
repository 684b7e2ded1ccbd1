"""cron_health and its page answer, whatever else does not."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import Client

from rqcron_events.queries import health as health_module
from tests.chaos.stage import RedisServer
from tests.pgbouncer import pooler
from tests.processes import Project, database_url

ANSWER_SECONDS_MAX = 30


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which is a file."""


@pytest.fixture
def page(transactional_db, redis_connection, settings) -> Callable[[], dict[str, Any]]:
    """What the page says; fails when it does not."""
    settings.RQCRON_HEALTH_VIEW = True

    def ask() -> HttpResponse:
        try:
            return Client(raise_request_exception=False).get("/cron-health/")
        finally:
            connections.close_all()

    def answer() -> dict[str, Any]:
        thread = ThreadPoolExecutor(1)
        try:
            response = thread.submit(ask).result(ANSWER_SECONDS_MAX)
        finally:  # it may hang until whatever holds it up is gone
            thread.shutdown(wait=False)
        assert response.status_code == 503, response.content
        return json.loads(response.content)

    return answer


@pytest.fixture
def locked() -> Callable[[str], Any]:
    @contextmanager
    def lock(table: str) -> Iterator[None]:
        with psycopg.connect(database_url()) as other:
            other.execute(f"LOCK TABLE {table}")
            yield
            other.rollback()

    return lock


@pytest.mark.parametrize("table", ["rqcron_event", "rqcron_lease", "rqcron_checkpoint"])
def test_a_locked_table_is_a_problem_and_the_rest_is_told(postgresql, page, locked, table: str):
    with locked(table):
        told = page()
    assert "another transaction holds its table" in " ".join(told["problems"])
    if table != "rqcron_lease":
        assert "No runner leads." in " ".join(told["problems"])
    assert told["spool_length"] == 0


@pytest.fixture
def strict(postgresql, transactional_db, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SERIALIZABLE, and a transaction around each request."""
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    options = connections["default"].settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "isolation_level", psycopg.IsolationLevel.SERIALIZABLE)
    connections["default"].close()
    yield
    monkeypatch.undo()
    connections["default"].close()


def test_serializable_and_atomic_requests_hide_nothing(strict, page, locked):
    with connections["default"].cursor() as cursor:  # a gap, behind which a writer may be
        cursor.execute("SELECT nextval(pg_get_serial_sequence('rqcron_event', 'id'))")
    assert page()["problems"] == ["No runner leads. Start cron_worker or cron_run."]
    with locked("rqcron_event"):
        assert "holds its table" in " ".join(page()["problems"])


def test_a_database_that_is_away_is_told_by_page_and_command(
    strict, page, project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    assert page() == {"ok": False, "problems": ["The database does not answer."]}
    told = project.run(
        "cron_health", "--format", "json", DATABASE_URL="postgresql://nobody@127.0.0.1:1/shop"
    )
    assert told.returncode == 1
    assert json.loads(told.stdout)["problems"][0].startswith("The database does not answer: ")


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def backend_pid(url: str) -> int:
    with psycopg.connect(url) as client:
        return client.execute("SELECT pg_backend_pid()").fetchone()[0]


def test_a_database_that_is_frozen_lets_nobody_in_and_is_told(postgresql, page):
    with psycopg.connect(database_url()) as other:
        pid = other.execute("SELECT pg_backend_pid()").fetchone()[0]
        server = psutil.Process(pid).ppid()
    with frozen(server):
        assert page() == {"ok": False, "problems": ["The database does not answer."]}


def test_a_session_that_freezes_is_hung_up(
    postgresql, page, transactional_db, monkeypatch: pytest.MonkeyPatch
):
    """Behind a pooler, because one gets connected there."""
    monkeypatch.setattr(health_module, "DATABASE_SECONDS_MAX", 1.0)
    database = connections["default"].settings_dict
    with pooler() as url:
        servers = {backend_pid(url) for _ in range(9)}
        assert len(servers) == 3
        port = psycopg.conninfo.conninfo_to_dict(url)["port"]
        with monkeypatch.context() as behind, frozen(*servers):
            for name, value in (("HOST", "127.0.0.1"), ("PORT", port), ("NAME", "shop")):
                behind.setitem(database, name, value)
            assert page() == {"ok": False, "problems": ["The database does not answer."]}


def test_a_redis_that_is_frozen_is_told_whatever_the_settings_allow(page, settings, tmp_path: Path):
    server = RedisServer(tmp_path)
    try:
        queues = copy.deepcopy(settings.RQ_QUEUES)
        for queue in queues.values():
            queue |= {"URL": f"{server.url}?socket_timeout=300"}
        settings.RQ_QUEUES = queues
        server.freeze()
        told = page()
    finally:
        server.stop()
    assert told["spool_length"] is None
    assert any(problem.startswith("Redis does not answer") for problem in told["problems"])
