"""``migrate ... zero`` takes every table away, and ``migrate`` makes them anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.processes import Project

THERE_AND_BACK = (
    ("migrate", "-v0"),
    ("migrate", "-v0", "rqcron_projections", "zero"),
    ("migrate", "-v0", "rqcron_events", "zero"),
    ("migrate", "-v0"),
)
SCRATCH = "rqcron_uninstalled"


@contextmanager
def new_database(project: Project, vendor: str, directory: Path) -> Iterator[str]:
    if vendor == "sqlite":
        yield f"sqlite:///{directory}/uninstalled.sqlite3"
        return
    url = urlsplit(project.environment["DATABASE_URL"])
    with psycopg.connect(url.geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {SCRATCH}")
        try:
            yield url._replace(path=f"/{SCRATCH}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {SCRATCH} WITH (FORCE)")


@pytest.mark.parametrize("vendor", sorted({"sqlite", os.environ["DATABASE_URL"].partition(":")[0]}))
def test_every_table_goes_and_comes_again(project: Project, tmp_path: Path, vendor: str) -> None:
    with new_database(project, vendor, tmp_path) as url:
        for line in THERE_AND_BACK:
            done = project.run(*line, DATABASE_URL=url)
            assert done.returncode == 0, done.stderr
        assert project.run("cron_run", "--once", DATABASE_URL=url).returncode == 0
