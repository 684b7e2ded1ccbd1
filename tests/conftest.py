"""Fixtures of all tests; the servers come from ``plugin.py``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.examples import examples
from tests.processes import ROOT, Project, database_url

if TYPE_CHECKING:
    from redis import Redis

# Other sets of tests run beside these in CI, and coverage counts: a slow example is no failure.
settings.register_profile("tests", deadline=None, max_examples=examples(100))
settings.load_profile("tests")

ONLY_ON = {"postgresql": "postgresql", "sqlite": "sqlite"}
"""Fixture -> kind of database that the tests which use it are about."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other database: a skip would be a promise that is not kept."""
    kind = os.environ["DATABASE_URL"].partition(":")[0]
    kept, left = [], []
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        wrong = any(name in fixtures and kind != only for name, only in ONLY_ON.items())
        # Browsers look at the demo, whose database is always SQLite.
        other = {"sqlite": "chaos", "postgresql": "browser"}[kind]
        if wrong or other in item.path.parts:
            left.append(item)
        else:
            kept.append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_collection_finish() -> None:
    """The crons of a project of other processes' are not registered in this one, for every test there is."""
    from django.conf import settings as project

    others = [
        name
        for name in sys.modules
        if name.startswith("tests.")
        and name.endswith(".crons")
        and name.removesuffix(".crons") not in project.INSTALLED_APPS
    ]
    if others:
        raise pytest.UsageError(
            f"A test imports {', '.join(others)}. Import what it needs from elsewhere in that app."
        )


@pytest.fixture(scope="session", autouse=True)
def _flush_allowed() -> None:
    from rqcron_events.testing import allow_flush

    allow_flush()


@pytest.fixture
def redis_connection() -> Iterator[Redis]:
    """An empty Redis."""
    from redis import Redis

    connection = Redis.from_url(os.environ["REDIS_URL"])
    connection.flushdb()
    yield connection
    connection.flushdb()
    connection.close()


@pytest.fixture
def project(transactional_db: None, redis_connection: Redis, tmp_path: Path) -> Iterator[Project]:
    """Starts real processes against the test database; kills what is left of them.

    >>> def test_it(project):
    ...     project.start("cron_run")
    ...     project.wait_until(CronEvent.objects.of_type("slot_fired").exists)
    ...     crons = json.loads(project.run("cron_list", "--format", "json").stdout)
    """
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join(
            [str(ROOT), str(ROOT / "projections"), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
        "PYTHONUNBUFFERED": "1",
    }
    found = Project(environment, tmp_path)
    yield found
    found.kill_all()
