"""A project that archives into a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.archiving import forget_files, use_storage


@pytest.fixture(autouse=True)
def directory(settings: Any, tmp_path: Path, db: None) -> Path:
    found = tmp_path / "archive"
    found.mkdir()
    use_storage(settings, found)
    forget_files()
    return found
