"""What ``cron_report`` prints."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime

import pytest
from django.core.management import CommandError

from rqcron_events.cli.times import zone_of
from rqcron_events.testing import FakeClock
from tests.projections.histories import History, append

from .test_commands import printed

pytestmark = pytest.mark.django_db

SINCE = ("--since", "2026-03-01")


@pytest.fixture
def log() -> Iterator[History]:
    """Told at its end: a report ends now."""
    written = History(seed=34, crons=3)
    for _ in range(400):
        written.step()
    append(written.events)
    with FakeClock(written.now):
        yield written


def test_the_table_fits_and_ends_with_what_stands_out(log: History) -> None:
    text = printed("cron_report", *SINCE)
    assert max(map(len, text.splitlines())) <= 120
    heading, _, _, columns, *_ = text.splitlines()
    assert heading.startswith("2026-03-01 to ")
    assert heading.endswith("from whole days, percentiles within 1.6%")
    assert columns.split()[:4] == ["cron", "slots", "fired", "skip"]
    for name in (*log.names, "all", "Slowest", "Flakiest", "Errors"):
        assert f"\n{name}" in text or f"  {name}" in text, name
    assert "order <number>: no \u20ac" in text


def test_a_table_of_long_names_still_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    written = History(seed=32, crons=1)
    written.names = ["n" * 200]
    written.define(written.names[0])
    written.fire(written.names[0])
    append(written.events)
    assert max(map(len, printed("cron_report", *SINCE).splitlines())) <= 120


@pytest.mark.parametrize("by", ["cron", "day", "queue"])
def test_json_is_one_object_and_csv_has_its_rows(log: History, by: str) -> None:
    found = json.loads(printed("cron_report", *SINCE, "--by", by, "--format", "json"))
    assert list(found) == [
        "since", "until", "by", "exact", "rows", "totals", "slowest", "flakiest", "errors",
        "runs_kept_from", "decisions_archived_until",
    ]  # fmt: skip
    assert (found["since"], found["by"], found["exact"]) == ("2026-03-01", by, by == "queue")
    assert sum(row["fired"] for row in found["rows"]) == found["totals"]["fired"] > 0
    assert {"duration_p95_seconds", "queue_wait_p99_seconds", "lateness_max_seconds"} <= set(
        found["rows"][0]
    )
    rows = list(
        csv.DictReader(io.StringIO(printed("cron_report", *SINCE, "--by", by, "--format", "csv")))
    )
    assert [row[by] for row in rows] == [row[by] for row in found["rows"]]
    for row, told in zip(rows, found["rows"], strict=True):
        assert int(row["skipped"]) == sum(told["skipped"].values())
        assert int(row["skipped_paused"]) == told["skipped"].get("paused", 0)
        assert int(row["missed_superseded"]) == told["missed"].get("superseded", 0)


def test_instants_are_reported_from_single_runs(log: History) -> None:
    text = printed("cron_report", "--since", "2026-03-02T09:00:30Z", "--cron", log.names[0])
    assert text.splitlines()[0].endswith("from single runs, exact")
    assert log.names[1] not in text


def test_nothing_is_said_in_one_sentence(log: History) -> None:
    text = printed("cron_report", "--since", "2020-01-01", "--until", "2020-02-01")
    assert text == (
        "Nothing was decided or asked for from 2020-01-01 to 2020-02-01. "
        "cron_list shows the crons and when they were last due.\n"
    )


def test_words_are_read_in_the_zone_of_the_cron_that_is_named(log: History) -> None:
    name, zone = next((n, zone_of(n)) for n in log.names if str(zone_of(n)) != "UTC")
    found = json.loads(
        printed("cron_report", "--since", "yesterday 9am", "--cron", name, "--format", "json")
    )
    assert datetime.fromisoformat(found["since"]).astimezone(zone).hour == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "2026-02-30"), "--since '2026-02-30' is not a date"),
        (("--since", "2026-03-02", "--until", "2026-03-01"), "The range is empty"),
        (("--cron", "nothing_like_it"), "No cron is named 'nothing_like_it'"),
        (("--by", "hour", "--since", "2026-01-01"), "at most 31 days"),
    ],
)
def test_a_mistake_is_one_sentence(log: History, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        printed("cron_report", *arguments)
