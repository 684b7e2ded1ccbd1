"""RQCRON_DATABASE says where the log is, and nobody has to say it again."""

from __future__ import annotations

import copy

import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command
from django.db import connections

from rqcron_events.conf import migrate_command
from rqcron_events.models import CronEvent


@pytest.fixture
def elsewhere(settings, monkeypatch, tmp_path):
    """A database without tables, for the log."""
    other = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "log.sqlite3")}
    monkeypatch.setitem(project.DATABASES, "log", other)
    made = copy.deepcopy(connections.settings["default"]) | other | {"OPTIONS": {}}
    monkeypatch.setitem(connections.settings, "log", made)
    settings.RQCRON_DATABASE = "log"
    yield
    connections["log"].close()
    del connections["log"]


def test_events_are_asked_for_where_the_log_is(elsewhere):
    assert CronEvent.objects.all().db == "log"
    assert CronEvent.objects.for_cron("report").decisions().db == "log"
    assert CronEvent.objects.using("default").for_cron("report").db == "default"


def test_hints_name_the_database(elsewhere, django_db_blocker):
    assert migrate_command() == "manage.py migrate --database log"
    with (
        django_db_blocker.unblock(),
        pytest.raises(CommandError, match=r"Run: manage\.py migrate --database log"),
    ):
        call_command("cron_health")


def test_the_default_needs_no_name():
    assert migrate_command() == "manage.py migrate"
