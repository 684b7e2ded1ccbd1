"""A cron's definition in Sentry's words, by tables."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from cronsim import CronSim
from rqcron_projections.signals.checkins.schedule import (
    definition_of,
    leaves_out,
    monitor_config,
)

from rqcron_events.core.definition import Definition, Retries

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def of(**options) -> Definition:
    return Definition(name="digest", function="shop.crons:digest", **options)


@pytest.mark.parametrize(
    ("expression", "crontab"),
    [
        ("30 9 * * 1-5", "30 9 * * 1,2,3,4,5"),
        ("*/15 * * * *", "*/15 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("0 23-1 * jan,JUL *", "0 0,1,23 * 1,7 *"),
        ("30 0 9 * * *", "0 9 * * *"),
        ("0 0 L * *", "0 0 L * *"),
        ("0 0 1,L * *", "0 0 1,L * *"),
        ("0 0 * * MON#2", "0 0 * * 1#2"),
        ("0 0 * * 0-7", "0 0 * * 0,1,2,3,4,5,6"),
        ("0 0 */2 * 1", "0 0 */2 * 1"),
        ("0 0 ? * 7", "0 0 * * 0"),
        ("*,1 0 * * *", "* 0 * * *"),
    ],
)
def test_a_crontab_is_told_in_numbers(expression, crontab):
    config = monitor_config(of(expression=expression, timezone="Asia/Tokyo"))
    assert config is not None
    assert config["schedule"] == {"type": "crontab", "value": crontab}
    assert config["timezone"] == "Asia/Tokyo"
    CronSim(crontab, START)  # Sentry reads crontabs with it


def test_h_is_told_as_the_time_that_it_stands_for():
    definition = of(expression="H H * * *")
    config = monitor_config(definition)
    assert config is not None
    [minute], [hour] = definition.schedule.minutes, definition.schedule.hours
    assert config["schedule"]["value"] == f"{minute} {hour} * * *"


@pytest.mark.parametrize(
    ("seconds", "value", "unit"),
    [
        (60, 1, "minute"),
        (5_400, 90, "minute"),
        (7_200, 2, "hour"),
        (86_400, 1, "day"),
        (86_400 * 14, 2, "week"),
    ],
)
def test_a_period_is_an_interval(seconds, value, unit):
    config = monitor_config(of(every_seconds=seconds))
    assert config is not None
    assert config["schedule"] == {"type": "interval", "value": value, "unit": unit}
    assert "timezone" not in config


@pytest.mark.parametrize("options", [{"every_seconds": 90}, {"expression": "0 0 15W * *"}])
def test_what_sentry_has_no_words_for_goes_without(options):
    assert monitor_config(of(**options)) is None
    assert not leaves_out("sentry", job(of(**options)))


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        ({"every_seconds": 59}, True),
        ({"every_seconds": 60}, False),
        ({"expression": "*/30 * * * * *"}, True),
        ({"expression": "30 * * * * *"}, False),
        ({"expression": "* * * * *"}, False),
    ],
)
def test_what_runs_more_often_than_once_a_minute_is_left_out(options, left_out):
    assert leaves_out("sentry", job(of(**options))) is left_out
    assert not leaves_out("healthchecks", job(of(**options)))


def job(definition: Definition) -> SimpleNamespace:
    return SimpleNamespace(definition=definition.to_data())


@pytest.mark.parametrize("data", [{}, {"name": "a", "function": "b", "expression": "x"}, None])
def test_a_definition_that_cannot_be_read_leaves_nothing_out(data):
    assert definition_of(SimpleNamespace(definition=data)) is None
    assert not leaves_out("sentry", SimpleNamespace(definition=data))
    assert definition_of(None) is None


@pytest.mark.parametrize(
    ("options", "minutes"),
    [
        ({}, 3),  # RQ's 180 s
        ({"options": {"timeout": 600}}, 10),
        ({"options": {"timeout": -1}}, 40_320),
        ({"options": {"timeout": 60}, "retries": Retries(max=3, intervals=(10, 50))}, 6),
        ({"options": {"timeout": 60}, "retries": Retries(max=1)}, 2),
    ],
)
def test_a_run_may_take_as_long_as_all_its_tries(options, minutes):
    config = monitor_config(of(expression="@daily", **options))
    assert config is not None
    assert config["max_runtime"] == minutes


@pytest.mark.parametrize(
    ("options", "minutes"),
    [({}, 1), ({"jitter_seconds": 90}, 3), ({"max_lateness_seconds": 600}, 10)],
)
def test_a_check_in_may_be_as_late_as_the_slot(options, minutes):
    config = monitor_config(of(expression="@daily", max_failures=2, **options))
    assert config is not None
    assert config["checkin_margin"] == minutes
    assert config["failure_issue_threshold"] == 3
