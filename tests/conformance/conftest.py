from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from rqcron_events.core.events import Event

from .writing import WRITE_PATHS


@pytest.fixture(params=WRITE_PATHS)
def write(request: pytest.FixtureRequest) -> Callable[[list[Event]], None]:
    """Each way to write, one after the other."""
    return WRITE_PATHS[request.param]


@pytest.fixture
def postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time: this cannot happen there")


@pytest.fixture
def sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has this")
