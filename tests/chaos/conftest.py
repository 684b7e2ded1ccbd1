"""These tests are about PostgreSQL; on SQLite they would say the same again, slowly."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def _only_on_postgresql() -> None:
    if not os.environ["DATABASE_URL"].startswith("postgresql"):
        pytest.skip("faults are played through on PostgreSQL")
