"""Rebuild, check and every long read behind a real PgBouncer, which says nothing of itself."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connections
from rqcron_projections.models import CronJob, CronRun
from rqcron_projections.projector import PROJECTIONS, catch_up
from rqcron_projections.replay import rebuild

from rqcron_events.ledger.postgresql import log as postgresql_log
from rqcron_events.ledger.postgresql import sessions
from rqcron_events.models import CronEvent, event
from tests.pgbouncer import pooler
from tests.projections.histories import append, history

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = [model for projection in PROJECTIONS for model in projection.models]


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, before which nothing stands."""


@pytest.fixture
def mode() -> str:
    return "transaction"


@pytest.fixture
def size() -> int:
    return 3


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process ids do not tell either: some poolers pass on that of the first session they opened."""
    for module in (postgresql_log, sessions):
        monkeypatch.setattr(module, "is_pooled", lambda _: False)


@pytest.fixture
def behind_pooler(postgresql, transactional_db, mode: str, size: int) -> Iterator[None]:
    """The test's own connection leads through it, and the settings say nothing of that."""
    direct = connections["default"]
    with pooler(mode, size) as url:
        settings: Any = copy.deepcopy(direct.settings_dict)
        parts = urlsplit(url)
        settings |= {"HOST": parts.hostname, "PORT": parts.port, "NAME": "shop"}
        assert not settings.get("DISABLE_SERVER_SIDE_CURSORS")
        connections["default"] = type(direct)(settings, "default")
        try:
            yield
        finally:
            connections["default"].close()
            connections["default"] = direct


def pid() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def rows() -> dict[str, list[dict[str, Any]]]:
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in LIVE}


def temporary_tables() -> list[str]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_rebuild_gives_the_live_rows_and_a_check_the_truth(behind_pooler, unseen, mode: str):
    append(history(1, 300))
    catch_up()
    live = rows()
    assert len({pid() for _ in range(6)}) == (3 if mode == "transaction" else 1), (
        "what this test is about"
    )
    assert rebuild.check() == []

    CronRun.objects.filter(pk=CronRun.objects.first().pk).update(status="lost")
    CronJob.objects.first().delete()
    found = rebuild.check()
    assert sorted({item.problem for item in found}) == ["different", "missing"]

    rebuild.rebuild()
    assert rows() == live
    assert rebuild.check() == []
    assert temporary_tables() == []


def test_no_long_read_rests_on_a_cursor_of_the_session(
    behind_pooler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event, "PAGE_ROWS", 20)
    append(history(2, 80))
    catch_up()
    ids = list(CronEvent.objects.values_list("id", flat=True))
    met = [(event.id, pid()) for event in CronEvent.objects.events()]
    assert [event_id for event_id, _ in met] == ids and len(ids) > 80
    assert len({process for _, process in met}) == 3
    for command in (
        ("cron_events", "--limit", "0"),
        ("cron_report",),
        ("cron_report", "--by", "queue"),
        ("cron_list",),
        ("cron_history", CronJob.objects.first().name),
        ("cron_audit",),
        ("cron_replay", "--at", "2026-03-02T10:00Z"),
    ):
        out = io.StringIO()
        try:
            call_command(*command, stdout=out)
        except SystemExit as end:
            assert end.code in (0, 1), command
        assert out.getvalue(), command


@pytest.mark.parametrize("size", [1])
def test_one_connection_of_a_pooler_is_enough_for_a_rebuild(behind_pooler):
    append(history(3, 40))
    rebuild.rebuild()
    assert rebuild.check() == []
