"""No page reads the whole log, or all runs: PostgreSQL finds what it needs by an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rqcron_events.core.events import EventType
from rqcron_events.testing import FakeClock
from tests.projections.pages.past import HOUR, START, Past

NOW = START + 12 * HOUR
ADDRESSES = [
    "",
    "?sort=slower&group=queue",
    "?q=digest&status=failing",
    "cron/digest/?zoom=week",
    "cron/digest/?zoom=hour&from=2026-03-02T03:00:00Z",
]
LARGE = ("rqcron_event", "rqcron_run")


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, whose plans say less."""


@pytest.fixture
def planner(postgresql: None, db: None) -> None:
    """Of two rows, a scan is the best plan: here only where nothing else can be done."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")


def scans(plan: dict[str, Any], limited: bool = False) -> Iterator[str]:
    """Parts of a plan that read a large table from one end to the other."""
    limited = limited or plan["Node Type"] == "Limit"
    whole = not limited and "Index Cond" not in plan
    index = plan["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
    table = plan.get("Relation Name") or plan.get("Index Name", "")
    if table.startswith(LARGE) and (plan["Node Type"] == "Seq Scan" or (index and whole)):
        yield f"{plan['Node Type']} on {table}"
    for part in plan.get("Plans", ()):
        yield from scans(part, limited)


def plan_of(sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        (found,) = cursor.fetchone()
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_page_scans_the_log_or_all_runs(planner, login, address):
    past = Past()
    past.define("digest")
    past.fire_between("digest", START, NOW, ends=EventType.RUN_FAILED)
    past.pause("digest", NOW)
    past.write()
    client = login()
    with FakeClock(NOW + HOUR), CaptureQueriesContext(connection) as queries:
        assert client.get(f"/admin/rqcron_projections/cronjob/{address}").status_code == 200
    asked = [
        query["sql"]
        for query in queries
        if query["sql"].startswith("SELECT")
        and any(f"{table} " in query["sql"].replace('"', " ") for table in LARGE)
    ]
    assert len(asked) > 5
    assert {sql[:200]: found for sql in asked if (found := list(scans(plan_of(sql))))} == {}
