"""A line of a segment becomes the row again that it was made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.archive.row import row_of
from rqcron_events.core.codec import Row
from rqcron_events.core.seal.leaf import leaf
from tests.unit.core.archive.test_segment import row

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TIMES = st.datetimes(timezones=st.just(UTC))


@given(
    data=st.dictionaries(st.text(), JSON, max_size=4).map(json.dumps) | st.text(),
    run=st.none() | st.binary(min_size=16, max_size=16),
    slot=st.none() | TIMES,
    at=TIMES,
    text=st.text(),
)
def test_a_line_becomes_the_row_again(
    data: str, run: bytes | None, slot: datetime | None, at: datetime, text: str
):
    given_row: Row = (7, "cron/x", 3, "slot_fired", 1, text, run, 2, slot, text, text, at, at, data)
    line = leaf(given_row)
    again = row_of(line)
    assert leaf(again) == line
    assert again[:13] == given_row[:13]


def test_times_that_cannot_be_had_stay_so():
    for place in (8, 11, 12):
        broken = list(row(1))
        broken[place] = None
        assert row_of(leaf(tuple(broken)))[11] == (row(1)[11] if place == 8 else None)  # type: ignore[arg-type]
    line = leaf(row(1)).replace(b"2026-03-02T09:01:00.000000Z", b"yesterday")
    assert row_of(line)[11] is None


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"data": {}}', b'{"data_text": "", "run_id": 3}']
)
def test_what_is_no_event_is_refused(line: bytes):
    with pytest.raises(ValueError, match=r"no event|Expecting"):
        row_of(line)
