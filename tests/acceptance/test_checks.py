"""``manage.py check`` in a project whose crons are wrong, and every other command there."""

from __future__ import annotations

from pathlib import Path

from tests.processes import Project

WRONG = {"TEST_APPS": "tests.wrong_app"}


def test_check_names_each_wrong_cron_and_exits_with_1(project: Project) -> None:
    done = project.run("check", **WRONG)
    assert done.returncode == 1
    for text in ("E001", "minute must be 0-59, got 61", "E010", "takes_nothing", "method of Shop"):
        assert text in done.stderr
    assert "'right'" not in done.stderr


def test_a_wrong_cron_does_not_stop_migrate(project: Project) -> None:
    done = project.run("migrate", **WRONG)
    assert done.returncode == 0, done.stderr
    assert "minute must be 0-59, got 61" in done.stderr


TESTS = """
from datetime import UTC, datetime
from django.test import TransactionTestCase
from rqcron_events.core.events import make
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

class Flushed(TransactionTestCase):
    def test_first(self):
        store.append_next([make.all_resumed(reason="", actor="ann", at=datetime.now(UTC))])
        self.assertEqual(CronEvent.objects.count(), 1)

    test_second = test_first
"""


def test_allow_flush_works_for_djangos_own_test_runner(project: Project, tmp_path: Path) -> None:
    """It is called where the tests' package is imported, as there is no conftest.py."""
    package = tmp_path / "flushed"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from rqcron_events.testing import allow_flush\n\nallow_flush()\n"
    )
    (package / "test_it.py").write_text(TESTS)
    done = project.run("test", "--no-input", "flushed", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
