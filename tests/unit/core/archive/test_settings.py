"""What is wrong with the settings of the archive, and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from rqcron_events.core.archive.settings import problems_of_archive

PLACE = {"storage": "old", "prefix": "crons"}
WRONG: dict[str, tuple[Any, Any, bool, str]] = {
    "no dict": ("old", None, True, "RQCRON_ARCHIVE is not a dict"),
    "no storage": ({"prefix": "a"}, None, True, "has the storage None. Give an alias in STORAGES: default, old"),
    "another storage": ({"storage": "new"}, None, True, "has the storage 'new'"),
    "a storage of no text": ({"storage": ["old"]}, None, True, "has the storage ['old']"),
    "another option": (PLACE | {"path": "/"}, None, True, "has the option 'path'. Known: prefix, storage"),
    "no prefix": (PLACE | {"prefix": None}, None, True, "has the prefix None"),
    "a long prefix": (PLACE | {"prefix": "x" * 201}, None, True, "at most 200 characters"),
    "days that are none": (PLACE, "90", True, "RQCRON_KEEP_DAYS is '90'. Give a number"),
    "True": (PLACE, True, True, "RQCRON_KEEP_DAYS is True. Give a number"),
    "less than a day": (PLACE, 0.5, True, "RQCRON_KEEP_DAYS is 0.5. It must be from 1 to 36500"),
    "days without a place": ({}, 90, True, "RQCRON_ARCHIVE is not set: events have no place to go"),
    "days without seals": (PLACE, 90, False, "the log is not sealed: only sealed events go"),
}  # fmt: skip


def problems(given: Any, days: Any, seals: bool) -> list[str]:
    return list(problems_of_archive(given, days, ["old", "default"], seals))


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_once_with_the_value_and_the_remedy(what: str):
    given, days, seals, text = WRONG[what]
    [told] = problems(given, days, seals)
    assert text in told
    assert told.startswith("Setting RQCRON_")


@pytest.mark.parametrize(
    ("given", "days", "seals"),
    [({}, None, False), (PLACE, None, False), (PLACE, 1, True), ({"storage": "old"}, 90.5, True)],
)
def test_what_is_right_is_not_spoken_of(given: Any, days: Any, seals: bool):
    assert problems(given, days, seals) == []
