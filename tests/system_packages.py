"""What wheels do not carry: a few tests need a package of the system, and say so when it is missing."""

from __future__ import annotations

import os

import pytest

__all__ = ["require"]


def require(package: str, *, is_installed: bool, untested: str = "") -> None:
    """Skips the test with a sentence that the end of the run repeats; with RQCRON_NO_SKIPS it fails.
    ``untested``: what all tests that need the package are about."""
    if is_installed:
        return
    text = (
        f"NOT TESTED{f' ({untested})' if untested else ''}: {package} is not installed. On Debian, "
        f"as root: apt-get install {package}"
    )
    if os.environ.get("RQCRON_NO_SKIPS"):
        pytest.fail(text)
    pytest.skip(text)
