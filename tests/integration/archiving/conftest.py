"""A project with a key, and a storage for segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.archive_pass import use_archive


@pytest.fixture(autouse=True)
def segments(settings: Any, db: None, tmp_path: Path) -> Path:
    """The directory of the storage."""
    directory = tmp_path / "segments-of-tests"
    use_archive(settings, directory)
    return directory
