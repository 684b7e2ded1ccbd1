"""The SQL views, and the examples of docs/reports.md."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from rqcron_projections import projector
from rqcron_projections.histogram import RELATIVE_ERROR
from rqcron_projections.models import CronDay, CronRun, RunnerSession
from rqcron_projections.replay import rebuild
from rqcron_projections.report.report import report

from tests.processes import ROOT

from .histories import START, History, append

pytestmark = pytest.mark.django_db

DOCUMENT = (ROOT / "docs" / "reports.md").read_text()
QUERIES = re.findall(r"```sql\n(.+?)```", DOCUMENT, re.DOTALL)
SNIPPETS = re.findall(r"```python\n(.+?)```", DOCUMENT, re.DOTALL)
FOR_ALL = [query for query in QUERIES if "-- PostgreSQL" not in query]


def rows(query: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def postgresql() -> None:
    """Tests that ask for it are not collected on SQLite: their functions exist only there."""


@pytest.fixture
def crons() -> None:
    written = History(seed=21)
    for step in range(400):
        written.everything("") if step % 40 == 0 else written.step()
    append(written.events)
    projector.catch_up()


def test_the_views_have_a_row_for_each_row_with_the_figures_of_the_report(crons: None) -> None:
    totals = report(date(2000, 1, 1), date(2100, 1, 1)).totals
    (summed,) = rows(
        "SELECT SUM(expected) AS expected, SUM(fired) AS fired, SUM(skipped_paused) AS paused, "
        "SUM(skipped_disabled) AS disabled, "
        "SUM(missed_too_late) AS too_late, SUM(succeeded) AS ok, MAX(duration_max_seconds) AS max, "
        "COUNT(*) AS days, MAX(longest_failure_streak) AS streak FROM rqcron_day_v"
    )
    assert summed == {
        "expected": totals.expected,
        "fired": totals.fired,
        "paused": totals.skipped["paused"],
        "disabled": totals.skipped["disabled"],
        "too_late": totals.missed["too_late"],
        "ok": totals.outcomes["succeeded"],
        "max": pytest.approx(totals.duration.max_seconds),
        "days": CronDay.objects.count(),
        "streak": totals.longest_failure_streak,
    }
    ids = {str(row["run_id"]) for row in rows("SELECT run_id FROM rqcron_run_v")}
    assert ids == {str(run.pk) for run in CronRun.objects.all()}
    sessions = rows("SELECT session, ended, alive_seconds FROM rqcron_runner_session_v")
    assert len(sessions) == RunnerSession.objects.count() > 1
    for session in sessions:
        row = RunnerSession.objects.get(pk=session["session"])
        assert session["ended"] == (row.ended or "alive")
        alive = (row.ended_at - row.started_at).total_seconds() if row.ended_at else None
        assert session["alive_seconds"] == (alive and pytest.approx(alive, abs=0.01))


def test_buckets_hold_all_values_where_they_belong(crons: None) -> None:
    for measure in ("lateness", "queue_wait", "duration"):
        found = rows(f"SELECT * FROM rqcron_day_bucket_v WHERE measure = '{measure}'")
        assert sum(row["number"] for row in found) == sum(
            getattr(day, f"{measure}_count") for day in CronDay.objects.all()
        )
        low = min(row["seconds_from"] for row in found)
        high = max(row["seconds_to"] for row in found)
        times = [getattr(day, f"{measure}_max_us") for day in CronDay.objects.all()]
        assert low <= max(time for time in times if time is not None) / 1e6 <= high
        assert all(
            row["seconds_to"] - row["seconds_from"]
            <= max(row["seconds_from"] * 2 * RELATIVE_ERROR, 1e-6) * 1.000001
            for row in found
        )


def test_the_views_follow_a_rebuild(crons: None) -> None:
    """A view of PostgreSQL would go with a table that is renamed away."""
    counts = {
        name: "SELECT COUNT(*) AS n FROM " + name
        for name in ("rqcron_run_v", "rqcron_day_v", "rqcron_runner_session_v")
    }
    before = {name: rows(query) for name, query in counts.items()}
    models: tuple[type[Model], ...] = (CronRun, CronDay, RunnerSession)
    for model in models:
        model.objects.all().delete()
    assert {rows(query)[0]["n"] for query in counts.values()} == {0}
    rebuild.rebuild()
    assert {name: rows(query) for name, query in counts.items()} == before
    CronDay.objects.filter(cron=CronDay.objects.first().cron).update(fired=10**6)
    assert rows("SELECT MAX(fired) AS n FROM rqcron_day_v") == [{"n": 10**6}]


@pytest.mark.parametrize("query", FOR_ALL)
def test_a_documented_query_finds_something(query: str, crons: None) -> None:
    assert len(FOR_ALL) == 3
    assert rows(query)


def test_documented_queries_of_postgresql_run(crons: None, postgresql: None) -> None:
    assert len(QUERIES) == 5
    for query in QUERIES:
        rows(query)


def test_the_documented_percentile_is_that_of_the_report(crons: None) -> None:
    (query,) = [query for query in FOR_ALL if "p95" in query]
    told = {row["cron"]: row["p95_seconds_at_most"] for row in rows(query)}
    for row in report(START.date(), date(2100, 1, 1)).rows:
        if row.duration.count:
            assert told[row.group] == pytest.approx(row.duration.p95_seconds, rel=0.032)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_documented_python_runs(
    snippet: str, crons: None, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    exec(snippet, names)
    assert len(SNIPPETS) == 2
    if "march" in names:
        assert names["march"].totals.fired
        assert "ValueError" in capsys.readouterr().out
    else:
        assert isinstance(names["busiest"].group, datetime)
