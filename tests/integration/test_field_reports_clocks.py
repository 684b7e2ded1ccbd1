"""What other schedulers did when clocks and zones changed, with a runner; ``docs/field-reports.md``."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events import audit, explain
from rqcron_events.models import CronEvent
from rqcron_events.testing import assert_fired, assert_not_fired

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    """``2026-03-02 09:00``, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fired(cron: str = "report") -> list[str]:
    slots = CronEvent.objects.for_cron(cron).of_type("slot_fired").order_by("id")
    return [f"{slot:%m-%d %H:%M}" for slot in slots.values_list("scheduled_for", flat=True)]


@pytest.fixture
def walk(clock, deploy) -> Callable[..., None]:
    """``walk(start, end, step)``: a runner starts and looks at the clock all that time."""

    def tick_from(start: datetime, end: datetime, step: timedelta) -> None:
        clock.set(start)
        runner = deploy()
        while clock.now < end:
            clock.advance(step)
            runner.tick()

    return tick_from


def test_a_slot_in_the_skipped_hour_is_decided_once(add, walk, caplog):
    """nomad 5410, supercronic 86: launched thousands of times, 40 GB of log lines."""
    add("report", schedule="0 2 * * *", timezone="America/New_York")
    caplog.set_level("INFO", "rqcron_events")
    walk(at("2019-03-10 06:59:30"), at("2019-03-10 07:01:00"), SECOND)
    assert fired() == ["03-10 07:00"]
    types = CronEvent.objects.for_cron("report").order_by("id").values_list("type", flat=True)
    assert list(types) == ["cron_registered", "slot_fired", "run_enqueued"]
    assert len(caplog.records) < 10


def test_a_runner_goes_on_through_the_skipped_hour(add, walk, caplog):
    """airflow 30088: an assertion stopped the scheduler for 40 minutes."""
    add("report", schedule="20 */4 * * *", timezone="America/Los_Angeles")
    add("other", schedule="*/10 * * * *")
    walk(at("2023-03-12 09:45:30"), at("2023-03-12 11:30:00"), 3 * MINUTE)
    assert fired() == ["03-12 11:20"]  # 04:20 PDT
    assert len(fired("other")) == 11
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_time_of_day_is_decided_once_a_day(add, walk):
    """rq-scheduler 260: fired at 12:01 local, and at 12:01 UTC."""
    add("report", schedule="1 12 * * *", timezone="Asia/Tokyo")
    walk(at("2026-03-02 00:00:30"), at("2026-03-04 00:00:30"), 30 * MINUTE)
    assert fired() == ["03-02 03:01", "03-03 03:01"]


def test_the_zone_of_the_project_is_where_a_schedule_is_read(add, walk, settings):
    """django-rq 822: ``TIME_ZONE`` was ignored, and the cron ran in UTC."""
    settings.TIME_ZONE = "Asia/Jakarta"
    add("report", schedule="25 8-16 * * *")
    walk(at("2026-03-02 00:00:30"), at("2026-03-03 00:00:30"), 30 * MINUTE)
    assert fired() == [f"03-02 {hour:02}:25" for hour in range(1, 10)]  # 08:25 to 16:25


@pytest.fixture
def london(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_zone_of_the_machine_decides_nothing(london, add, walk):
    """cronie 124, kubernetes 78795: from 01:01 to 01:59 UTC nothing ran, as clocks went back."""
    add("report", schedule="*/10 * * * *", timezone="UTC")
    walk(at("2025-10-25 23:59:30"), at("2025-10-26 03:00:30"), 5 * MINUTE)
    assert fired() == [f"10-26 {hour:02}:{minute}0" for hour in range(3) for minute in range(6)] + [
        "10-26 03:00"
    ]


def test_a_machine_that_slept_over_slots_decides_them_when_it_wakes(add, deploy, clock):
    """systemd 8231 and 24984: not noticed, or a day late. The monotonic clock stands meanwhile."""
    add("report", schedule="0 9 * * *")
    add("each", schedule="0 9 * * *", catch_up="all")
    runner = deploy()
    clock.set(at("2026-03-05 09:30:00"))
    runner.tick()
    assert fired() == ["03-05 09:00"]
    assert fired("each") == ["03-03 09:00", "03-04 09:00", "03-05 09:00"]
    assert (
        assert_not_fired("report", at("2026-03-03 09:00"), reason="superseded").data["count"] == 2
    )


@pytest.fixture
def moved(add, deploy, clock) -> None:
    """An outage of a day, in which the cron is moved to another zone; nine o'clock in both."""
    add("report", schedule="0 9 * * *", timezone="Europe/Berlin", catch_up="all")
    clock.set(at("2026-03-02 07:30:00"))
    deploy()
    clock.set(at("2026-03-04 07:30:00"))
    add("report", schedule="0 9 * * *", timezone="America/New_York", catch_up="all")
    runner = deploy()
    clock.set(at("2026-03-04 14:00:01"))
    runner.tick()


def test_the_definition_in_force_decides_an_outage(moved):
    """claude-code 88638: fire and catch-up used two zones, and disagreed for ever."""
    assert fired() == ["03-02 08:00", "03-03 08:00", "03-04 14:00"]
    assert audit("report").ok
    assert explain("report", at("2026-03-03 08:00")).definition.timezone == "Europe/Berlin"
    assert explain("report", at("2026-03-03 14:00")).verdict == "not_a_slot"


@pytest.mark.parametrize("schedule", ["0 0 1 * *", "0 9 * * *"])
def test_another_zone_of_the_project_fires_nothing_at_once(add, deploy, clock, settings, schedule):
    """celery 3219, django-celery-beat 204: a monthly task fired at once, or nothing fired."""
    settings.TIME_ZONE = "Europe/Berlin"
    clock.set(at("2026-03-31 12:00:00"))
    add("report", schedule=schedule)
    deploy()
    settings.TIME_ZONE = "Asia/Tokyo"
    add("report", schedule=schedule)
    clock.advance(HOUR)
    runner = deploy()
    assert fired() == []
    clock.set(at("2026-04-01 00:00:30"))
    runner.tick()
    slot = at("2026-03-31 15:00" if schedule == "0 0 1 * *" else "2026-04-01 00:00")
    assert fired() == [f"{slot:%m-%d %H:%M}"]
    assert_fired("report", slot)
    [change] = CronEvent.objects.of_type("cron_changed")
    assert change.data["changes"] == {"timezone": ["Europe/Berlin", "Asia/Tokyo"]}
