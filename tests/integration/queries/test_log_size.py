"""How large the log is, and until when there is room."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rqcron_events.archive.archiving import archive
from rqcron_events.core.events import Event, EventType
from rqcron_events.core.wording import bytes_words
from rqcron_events.ledger import store
from rqcron_events.queries.health import health
from rqcron_events.queries.log.size import LogSize, log_size
from rqcron_events.runner.following.steps import follow_all
from rqcron_events.testing import FakeClock
from tests.archive_pass import archive_all, use_archive
from tests.sealing import NOON, events_of, history, seal

DAY = timedelta(days=1)


def write(events: int, begin: datetime = NOON, days: float = 1) -> None:
    """Events that occur one after the other during these days."""
    number = len(_streams)
    _streams.append(number)
    store.append([
        Event(stream=f"runner/{number}", version=version, type=EventType.RUNNER_STARTED,
              occurred_at=begin + days * DAY * version / events, actor="runner/r",
              data={"host": "web-1", "pid": version})
        for version in range(1, events + 1)
    ])  # fmt: skip


_streams: list[int] = []


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "1 byte"), (512, "512 bytes"), (1_234, "1.2 kB"), (99_900_000, "100 MB"),
     (999_600_000, "1.0 GB"), (34e9, "34 GB"), (2e15, "2,000 TB")],
)  # fmt: skip
def test_a_size_is_written_with_the_unit_that_fits(count: float, words: str) -> None:
    assert bytes_words(count) == words


def test_growth_is_that_of_the_last_days(db: None) -> None:
    write(300, days=30)
    write(700, NOON + 23 * DAY, days=7)
    found = log_size(NOON + 30 * DAY)
    assert found.bytes > 50_000
    assert found.events_per_day == pytest.approx(100, rel=0.15)
    assert found.bytes_per_day is not None
    assert 10_000 < found.bytes_per_day < found.bytes
    assert log_size(NOON + 60 * DAY).bytes_per_day == 0


def test_an_event_that_was_written_late_does_not_make_the_log_slow(db: None) -> None:
    write(500)
    write(1, NOON - 2 * DAY)  # as of a spool
    assert log_size(NOON + DAY).events_per_day == pytest.approx(250, rel=0.02)


@pytest.mark.parametrize(("events", "days"), [(0, 1), (50, 1), (500, 0.01)])
def test_a_young_log_tells_no_growth(db: None, events: int, days: float) -> None:
    if events:
        write(events, days=days)
    found = log_size(NOON + days * DAY)
    assert (found.events_per_day, found.bytes_per_day, found.bytes_max_at) == (None, None, None)


def test_it_says_when_the_bound_is_reached_and_warns_two_weeks_before(
    db: None, settings: Any
) -> None:
    write(2_000)
    now = NOON + DAY
    growth = log_size(now).bytes_per_day
    assert growth is not None
    size = log_size(now).bytes
    settings.RQCRON_LOG_BYTES_MAX = max(int(size + 20 * growth), 1_000_000)
    found = log_size(now)
    assert found.bytes_max_at is not None
    assert found.bytes_max_at - now >= 19.9 * DAY
    assert (found.problems(), found.warnings(now)) == ([], [])
    assert f"is reached about {found.bytes_max_at:%Y-%m-%d}" in found.words
    later = found.bytes_max_at - 13 * DAY
    (warning,) = found.warnings(later)
    assert "RQCRON_LOG_BYTES_MAX (" in warning
    assert f"is reached about {found.bytes_max_at:%Y-%m-%d}." in warning


def test_a_log_of_which_old_events_are_archived_ends_nowhere(
    db: None, settings: Any, tmp_path: Path
) -> None:
    use_archive(settings, tmp_path)
    write(2_000)
    now = NOON + DAY
    before = log_size(now)
    assert before.bytes_per_day is not None
    settings.RQCRON_LOG_BYTES_MAX = max(int(before.bytes + 20 * before.bytes_per_day), 1_000_000)
    settings.RQCRON_KEEP_DAYS = 5
    assert log_size(now).bytes_max_at is None
    settings.RQCRON_KEEP_DAYS = 90
    assert log_size(now).bytes_max_at is not None


def test_it_says_how_much_is_archived(db: None, settings: Any, tmp_path: Path) -> None:
    use_archive(settings, tmp_path)
    history("alpha", runs=30)
    done = archive_all()
    found = log_size(NOON + DAY)
    assert (found.archived_events, found.archived_to) == (done.archived_events, done.archived_to)
    assert (
        f"{done.archived_events} events, to event {done.archived_to}, are archived" in found.words
    )
    assert found.to_data()["archived_to"] == done.archived_to


def test_growth_is_right_also_where_most_of_the_week_is_archived(
    db: None, settings: Any, tmp_path: Path
) -> None:
    use_archive(settings, tmp_path)
    for number in range(10 * 25):  # of four events each, 25 a day
        minute = number * 24 * 60 // 25
        store.append(events_of("alpha", minute, number + 1 if number else 0))
        if number == 8 * 25:
            seal()
    with FakeClock(NOON + 8 * DAY):
        seal()
        follow_all()
        done = archive(datetime(2100, 1, 1, tzinfo=UTC), "ann")
    assert done.removed_rows > 300, done.held_back
    assert log_size(NOON + 10 * DAY).events_per_day == pytest.approx(100, rel=0.1)


def test_health_fails_where_the_bound_is_exceeded(
    deploy: Any, add: Any, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    add("report", schedule="* * * * *")
    deploy()
    write(5_000, NOON - 30 * DAY)
    settings.RQCRON_LOG_BYTES_MAX = 1_000_000
    (problem,) = health().problems
    assert problem.startswith("The log takes ")
    assert "RQCRON_LOG_BYTES_MAX is 1.0 MB" in problem
    with pytest.raises(SystemExit):
        call_command("cron_health")
    assert "RQCRON_LOG_BYTES_MAX (1.0 MB) is exceeded" in capsys.readouterr().out
    settings.RQCRON_LOG_BYTES_MAX = None
    call_command("cron_health", "--format", "json")
    told = json.loads(capsys.readouterr().out)["log"]
    assert told["bytes"] > 1_000_000
    assert told["bytes_max"] is None
    assert health(cron="report").log is None


def test_the_disk_is_known_where_the_database_is_a_file_of_this_machine(db: None) -> None:
    write(500)
    found = log_size(NOON + DAY)
    in_file = connection.vendor == "sqlite" and not connection.is_in_memory_db()
    assert (found.disk_free_bytes is not None) == in_file
    assert (found.disk_full_at is not None) == in_file


def test_health_warns_before_the_disk_is_full() -> None:
    found = LogSize(
        bytes=4_000_000_000,
        bytes_per_day=100_000_000,
        disk_free_bytes=1_000_000_000,
        disk_full_at=NOON + 10 * DAY,
    )
    (warning,) = found.warnings(NOON)
    assert warning == (
        "The log takes 4.0 GB and it grows by about 100 MB a day: its disk, of which 1.0 GB are free, is full about "
        "2026-03-12."
    )
    assert found.warnings(NOON - 5 * DAY) == []
    assert found.words.endswith("; the disk is full about 2026-03-12")


def test_it_costs_as_much_for_a_long_log_as_for_a_short_one(db: None) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            log_size(NOON + DAY)
        return len(asked)

    write(200)
    few = statements()
    write(3_000)
    assert statements() == few <= 12
