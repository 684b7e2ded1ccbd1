"""The versions of what slots are found with, for the log: others may find other slots."""

from __future__ import annotations

import zoneinfo
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["croniter_version", "tz_data_version"]


@cache
def tz_data_version() -> str:
    """Of the time zone data that zoneinfo reads, such as ``2026a``; empty when it does not say.

    The system's comes first, as in zoneinfo.
    """
    for place in zoneinfo.TZPATH:
        if not Path(place, "UTC").is_file():
            continue
        try:
            with Path(place, "tzdata.zi").open(encoding="ascii") as text:
                return text.readline(100).removeprefix("# version ").strip()[:20]
        except (OSError, ValueError):
            return ""
    return _package("tzdata")


@cache
def croniter_version() -> str:
    return _package("croniter")


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
