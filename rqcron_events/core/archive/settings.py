"""What is wrong with the settings of the archive."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

__all__ = ["KEEP_DAYS_MAX", "KEEP_DAYS_MIN", "problems_of_archive"]

KEEP_DAYS_MIN = 1
KEEP_DAYS_MAX = 36_500
PREFIX_CHARS_MAX = 200


def problems_of_archive(
    given: Any, keep_days: Any, storages: Collection[str], seals: bool
) -> Iterator[str]:
    """One sentence for each. ``storages``: the aliases in STORAGES; ``seals``: whether the leader seals."""
    if not isinstance(given, dict):
        yield "Setting RQCRON_ARCHIVE is not a dict. Give {'storage': 'an alias in STORAGES'}."
    elif given:
        yield from _of_place(given, storages)
    if keep_days is None:
        return
    if isinstance(keep_days, bool) or not isinstance(keep_days, (int, float)):
        yield (
            f"Setting RQCRON_KEEP_DAYS is {keep_days!r}. Give a number of days, or None for all events."
        )
    elif not KEEP_DAYS_MIN <= keep_days <= KEEP_DAYS_MAX:
        yield (
            f"Setting RQCRON_KEEP_DAYS is {keep_days!r}. It must be from {KEEP_DAYS_MIN} to "
            f"{KEEP_DAYS_MAX}, or None for all events."
        )
    elif not given:
        yield (
            f"Setting RQCRON_KEEP_DAYS is {keep_days!r}, and RQCRON_ARCHIVE is not set: events have no "
            "place to go. Give {'storage': 'an alias in STORAGES'}."
        )
    elif not seals:
        yield (
            f"Setting RQCRON_KEEP_DAYS is {keep_days!r}, and the log is not sealed: only sealed events go. "
            "Set RQCRON_SEAL_KEY (manage.py cron_seal --new-key NAME), and RQCRON_SEAL_SECONDS above 0."
        )


def _of_place(given: dict[Any, Any], storages: Collection[str]) -> Iterator[str]:
    for option in given.keys() - {"storage", "prefix"}:
        yield f"Setting RQCRON_ARCHIVE has the option {option!r}. Known: prefix, storage."
    alias, prefix = given.get("storage"), given.get("prefix", "")
    if not isinstance(alias, str) or alias not in storages:
        yield (
            f"Setting RQCRON_ARCHIVE has the storage {alias!r}. Give an alias in STORAGES: "
            f"{', '.join(sorted(storages))}."
        )
    if not isinstance(prefix, str) or len(prefix) > PREFIX_CHARS_MAX:
        yield (
            f"Setting RQCRON_ARCHIVE has the prefix {prefix!r:.60}. Give a text of at most "
            f"{PREFIX_CHARS_MAX} characters."
        )
