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
OF_RUNNERS = "rqcron_event_runner"
"""An index of few rows, which may be read as a whole."""


FILL = """
    INSERT INTO rqcron_event
        (stream, version, type, schema_version, cron, run_id, scheduled_for, reason, actor,
         occurred_at, data)
    SELECT CASE WHEN mod(n, 2) = 0 THEN 'run/' || n ELSE 'cron/other_' || mod(n, 501) END, n, kind, 1,
        'other_' || mod(n, 501), gen_random_uuid(), %(at)s + n * interval '1 second', '', 'worker/w1',
        %(at)s + n * interval '1 second', '{}'
    FROM generate_series(1, 15000) AS n,
        LATERAL (SELECT CASE WHEN mod(n, 2) = 0 THEN 'run_started' ELSE 'slot_fired' END AS kind) AS k
"""
FILL_RUNS = """
    INSERT INTO rqcron_run (run_id, cron, trigger, status, requested_at, actor, reason, queue,
        attempts, refused_starts, worker, outcome_reason, error_type, error_shape)
    SELECT gen_random_uuid(), 'other_' || mod(n, 501), 'slot', 'succeeded',
        %(at)s + n * interval '1 second', '', '', '', 1, 0, '', '', '', ''
    FROM generate_series(1, 15000) AS n
"""
"""Rows enough that a scan is no good plan."""


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, whose plans say less."""


@pytest.fixture
def filled(postgresql: None, rows_of_before: None) -> None:
    past = Past()
    past.define("digest")
    past.fire_between("digest", START, NOW, ends=EventType.RUN_FAILED)
    past.pause("digest", NOW)
    past.write()
    with connection.cursor() as cursor:
        for statement in (FILL, FILL_RUNS):
            cursor.execute(statement, {"at": START})
        cursor.execute("UPDATE rqcron_checkpoint SET position = (SELECT MAX(id) FROM rqcron_event)")
        cursor.execute("ANALYZE rqcron_event, rqcron_run")


def scans(plan: dict[str, Any], *, below_limit: bool = False) -> Iterator[str]:
    """Parts of a plan that read a large table from one end to the other. The first rows of an index
    are no such part, unless they are filtered: then there may be none."""
    node = plan["Node Type"]
    table = plan.get("Relation Name") or plan.get("Index Name", "")
    index = node in ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
    if plan.get("Index Name") == OF_RUNNERS:
        return
    is_whole = "Index Cond" not in plan and not (below_limit and "Filter" not in plan)
    if table.startswith(LARGE) and (node == "Seq Scan" or (index and is_whole)):
        yield f"{node} on {table}"
    for part in plan.get("Plans", ()):
        yield from scans(part, below_limit=node == "Limit")


def plan_of(sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        (found,) = cursor.fetchone()
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


def test_no_page_scans_the_log_or_all_runs(filled, login):
    client = login()
    for address in ADDRESSES:
        with FakeClock(NOW + HOUR), CaptureQueriesContext(connection) as queries:
            response = client.get(f"/admin/rqcron_projections/cronjob/{address}")
        assert response.status_code == 200
        asked = [query["sql"] for query in queries if is_of_interest(query["sql"])]
        assert len(asked) > 3
        found = {sql[-420:]: list(scans(plan_of(sql))) for sql in asked}
        assert {sql: parts for sql, parts in found.items() if parts} == {}, address


def is_of_interest(sql: str) -> bool:
    words = sql.replace('"', " ").split()
    return words[0] == "SELECT" and any(table in words for table in LARGE)
