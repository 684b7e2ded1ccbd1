"""The worked examples in ``migrations_examples/``, each loaded as a project would load it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from rqcron_events.models import CronEvent
from tests.processes import ROOT, Project

EXAMPLES = ROOT / "migrations_examples"

# What each cron is registered as: what is not said here has its default.
BANANA_STAND = {
    "close_the_month": {"expression": "0 0 1 * *", "queue": "low"},
    "ping": {"expression": "* * * * *"},
    "restock": {
        "expression": "0 0 * * 0",
        "queue": "high",
        "retries": {"max": 2, "intervals": [0], "enqueue_at_front": False},
    },
    "throw_away_brown_bananas": {"expression": "0 0 * * *"},
    "update_ripeness": {"expression": "0 * * * *"},
}
NEWSROOM = {
    "clean_up_temporary_files": {
        "every_seconds": 1800,
        "queue": "low",
        "options": {"timeout": 300},
    },
    "feeds": {"every_seconds": 20, "options": {"ttl": 60}},
    "send_newsletter": {
        "expression": "30 10 * * 2",
        "timezone": "Europe/Berlin",
        "queue": "high",
        "options": {"result_ttl": 3600, "meta": {"team": "mail"}},
    },
}
LIBRARY = {
    "library.count_loans": {"expression": "5 0 1 * *", "overlap": "skip"},
    "library.import_catalogue": {
        "every_seconds": 7200,
        "overlap": "skip",
        "retries": {"max": 3, "intervals": [300], "enqueue_at_front": False},
        "store_result": True,
    },
    "library.order_books_morning": {"expression": "0 8 * * 1,4", "overlap": "skip"},
    "library.order_books_noon": {"expression": "45 13 * * 1,4", "overlap": "skip"},
    "library.remind_readers": {"expression": "30 6,18 * * *", "overlap": "skip"},
}


@pytest.mark.parametrize(
    ("directory", "app", "expected"),
    [
        ("from_django_rq_cron", "banana_stand", BANANA_STAND),
        ("from_rq_cron", "newsroom", NEWSROOM),
        ("from_django_cron", "library", LIBRARY),
    ],
)
def test_every_cron_of_the_example_is_registered(project, directory, app, expected):
    install(project, directory, app)
    checked = project.run("check", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    once = project.run("cron_run", "--once")
    assert once.returncode == 0, once.stderr
    assert registered() == expected


def test_a_moved_django_rq_cron_project_runs(project: Project):
    install(project, "from_django_rq_cron", "banana_stand")
    assert project.run("cron_run", "--once").returncode == 0
    for name in BANANA_STAND:
        asked = project.run("cron_trigger", name, "--reason", "does it run after the move?")
        assert asked.returncode == 0, asked.stderr
    worked = project.run("cron_worker", "default", "high", "low", "--burst")
    assert worked.returncode == 0, worked.stderr
    assert {name: outcome_of(name) for name in BANANA_STAND} == dict.fromkeys(
        BANANA_STAND, "run_succeeded"
    )


def test_arguments_reach_the_functions_of_a_moved_rq_cron_project(project: Project):
    install(project, "from_rq_cron", "newsroom")
    assert project.run("cron_run", "--once").returncode == 0
    assert project.run("cron_trigger", "send_newsletter").returncode == 0
    worked = project.run("cron_worker", "high", "--burst", "--verbosity", "2")
    assert "sent weekly with letter.html" in worked.stdout + worked.stderr
    assert outcome_of("send_newsletter") == "run_succeeded"


def test_what_do_returned_is_kept_in_a_moved_django_cron_project(project: Project):
    install(project, "from_django_cron", "library")
    assert project.run("cron_run", "--once").returncode == 0
    assert project.run("cron_trigger", "library.import_catalogue").returncode == 0
    assert project.run("cron_worker", "default", "--burst").returncode == 0
    done = CronEvent.objects.for_cron("library.import_catalogue").get(type="run_succeeded")
    assert done.to_event().data["result"] == '"imported 3 titles"'


def install(project: Project, directory: str, app: str) -> None:
    """The example as the only app with crons, importable as it is in its own project."""
    paths = [str(EXAMPLES / directory), project.environment["PYTHONPATH"]]
    project.environment |= {"TEST_APPS": app, "PYTHONPATH": os.pathsep.join(paths)}


def registered() -> dict[str, dict[str, Any]]:
    """Each cron's definition in the log, without what every cron says."""
    said_by_all = {"name", "function", "description"}
    found = {}
    for event in CronEvent.objects.of_type("cron_registered"):
        definition = event.data["definition"]
        found[event.cron] = {k: v for k, v in definition.items() if k not in said_by_all}
    return found


def outcome_of(name: str) -> str:
    run = CronEvent.objects.for_cron(name).get(type="run_requested").run_id
    return CronEvent.objects.for_run(run).outcomes().get().type
