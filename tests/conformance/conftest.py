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
    """Tests that ask for it are not collected on SQLite: what they show cannot happen there."""
    assert connection.vendor == "postgresql"


@pytest.fixture
def sqlite() -> None:
    """Tests that ask for it are collected on SQLite only."""
    assert connection.vendor == "sqlite"
