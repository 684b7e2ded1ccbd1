"""A project with a key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sealing import KEY


@pytest.fixture(autouse=True)
def _key(settings: Any, db: None) -> None:
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
