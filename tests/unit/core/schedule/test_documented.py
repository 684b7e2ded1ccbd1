"""Each row of docs/schedules.md is true."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from rqcron_events.core.schedule import cron_schedule
from tests.processes import ROOT

from .before import ORDER, field_as_read

PAGE = (ROOT / "docs/schedules.md").read_text()
READINGS, _, REFUSALS = PAGE.partition("## What is refused")
ROW = re.compile(r"\| ([a-z ]+) \| `([^`]+)` \| ([^|]+) \|")
SPECIAL = re.compile(r"(nearest|last|1st|2nd|3rd) ?(\d+)|(last)|(\d+)-(\d+)|(\d+)")


def meaning(text: str) -> set[object]:
    """``1 2nd 5`` as the tables have it."""
    found: set[object] = set()
    for special, of, last_day, low, high, number in SPECIAL.findall(text):
        if special:
            which = {"last": -1, "1st": 1, "2nd": 2, "3rd": 3}.get(special)
            found.add(("nearest", int(of)) if which is None else ("nth", int(of), which))
        elif last_day:
            found.add("last")
        else:
            found |= set(range(int(low or number), int(high or number) + 1))
    return found


def rows(page: str) -> Iterator[tuple[str, str, str]]:
    yield from (row for row in ROW.findall(page) if row[0] in ORDER)


@pytest.mark.parametrize(("field", "text", "means"), list(rows(READINGS)))
def test_a_text_means_what_its_row_says(field, text, means):
    assert field_as_read(cron_schedule, field, text) == meaning(means)


@pytest.mark.parametrize(("field", "text", "error"), list(rows(REFUSALS)))
def test_a_text_is_refused_as_its_row_says(field, text, error):
    fields = ["0", "0", "1", "1", "*"]
    fields[ORDER.index(field) - 1] = text
    with pytest.raises(ValueError, match="invalid") as caught:
        cron_schedule(" ".join(fields), "UTC")
    assert error.strip() in str(caught.value)
    assert text in str(caught.value)


def test_the_tables_are_read():
    assert len(list(rows(READINGS))) > 40
    assert len(list(rows(REFUSALS))) > 10
    assert meaning("1 2nd 5") == {1, ("nth", 5, 2)}
    assert meaning("15 last") == {15, "last"}


@pytest.mark.parametrize(
    ("text", "count"), [("H", 1), ("H(0-5)", 1), ("H/15", 4), ("H(0-29)/10", 3)]
)
def test_h_has_as_many_values_as_its_row_says(text, count):
    assert f"| `{text}` |" in PAGE
    for number in range(20):
        assert len(cron_schedule(f"{text} * * * *", "UTC", f"cron {number}").minutes) == count
