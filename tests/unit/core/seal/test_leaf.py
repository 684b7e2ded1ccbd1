"""The leaf of an event is RFC 8785 canonical JSON, whichever way it is made."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.codec import Row
from rqcron_events.core.seal.leaf import KEYS, NESTING_MAX, leaf

NOON = datetime(2026, 3, 2, 12, 0, 0, 120, tzinfo=UTC)
RUN = UUID("3f3e3b65-4508-5d1e-a116-0023dd24a95f")


def row(data: str = "{}", **values: Any) -> Row:
    known = dict(
        zip(
            KEYS,
            (
                7,
                "cron/a",
                2,
                "slot_fired",
                1,
                "a",
                RUN.bytes,
                None,
                NOON,
                "",
                "ann",
                NOON,
                NOON,
                data,
            ),
            strict=True,
        )
    )
    return tuple((known | values).values())  # type: ignore[return-value]


def test_it_names_every_column_and_times_are_utc_with_six_digits():
    there = timezone(timedelta(hours=2))
    told = row('{"b": 1, "a": [true, null]}', recorded_at=NOON.astimezone(there), attempt=3)
    assert leaf(told).decode() == (
        '{"actor":"ann","attempt":3,"cron":"a","data":{"a":[true,null],"b":1},"id":7,'
        '"occurred_at":"2026-03-02T12:00:00.000120Z","reason":"",'
        '"recorded_at":"2026-03-02T12:00:00.000120Z",'
        '"run_id":"3f3e3b65-4508-5d1e-a116-0023dd24a95f",'
        '"scheduled_for":"2026-03-02T12:00:00.000120Z","schema_version":1,"stream":"cron/a",'
        '"type":"slot_fired","version":2}'
    )


def test_the_sample_of_rfc_8785():
    data = r"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"""
    wanted = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert f'"data":{wanted},"id"'.encode() in leaf(row(data))


numbers = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e-4, 9.9e-5, 1e16, 1e21, 2.0**53, 5e-324, 123456789012345.5]),
)


def documents_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(
        texts,
        st.recursive(
            st.one_of(st.none(), st.booleans(), numbers, texts),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
            max_leaves=8,
        ),
        max_size=5,
    )


ASCII = st.text(st.characters(max_codepoint=127), max_size=8)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
documents = documents_of(ASCII) | documents_of(ANY)
"""The quick way is for ASCII only."""


@given(documents, st.booleans())
def test_the_quick_way_writes_what_the_library_writes(document, ascii_only):
    text = json.dumps(document, ensure_ascii=ascii_only)
    columns = json.loads(leaf(row()))
    assert leaf(row(text)) == rfc8785.dumps(columns | {"data": json.loads(text)})


@pytest.mark.parametrize(
    "number",
    ["0.0", "-0.0", "-0", "1e-4", "9.9e-5", "1e-7", "5e-324", "1.50", "1e15", "1e16", "1e21", "1e23",
     "9007199254740991.0", "9007199254740992.0", "123456789012345.67", "-1.7976931348623157e308"],
)  # fmt: skip
def test_numbers_are_written_as_the_library_writes_them(number):
    told = rfc8785.dumps({"n": json.loads(number)})
    assert b'"data":' + told in leaf(row(f'{{"n": {number}}}'))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 9007199254740993}',
        '{"a": 1e999}',
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        '{"a": "\\ud800"}',
        "{",
        "",
        "[" * (NESTING_MAX + 1) + "]" * (NESTING_MAX + 1),
        "[" * 100_000,
        '{"a": ' + "9" * 5_000 + "}",
    ],
    ids=lambda text: text[:20],
)
def test_what_has_no_canonical_form_stands_there_as_it_is_stored(text):
    found = json.loads(leaf(row(text)))
    assert found["data_text"] == text
    assert "data" not in found
    assert leaf(row(text)) != leaf(row(text + " "))


def test_brackets_in_strings_are_no_nesting():
    text = json.dumps({"a": "[" * 500})
    assert json.loads(leaf(row(text)))["data"] == {"a": "[" * 500}


@pytest.mark.parametrize(
    "change",
    [
        {"id": 8},
        {"stream": "cron/b"},
        {"version": 3},
        {"type": "slot_missed"},
        {"schema_version": 2},
        {"cron": "b"},
        {"run_id": None},
        {"attempt": 1},
        {"scheduled_for": None},
        {"reason": "x"},
        {"actor": "bob"},
        {"occurred_at": NOON + timedelta(microseconds=1)},
        {"recorded_at": NOON + timedelta(microseconds=1)},
        {"data": '{"a": 1}'},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_column_counts(change):
    assert leaf(row(**change)) != leaf(row())


def test_a_column_of_another_kind_as_sqlite_allows_it_is_sealed_too():
    assert leaf(row(actor=b"\xff")) != leaf(row(actor=b"\xfe"))
    assert leaf(row(actor="\ud800")) != leaf(row(actor="\ud801"))
    assert leaf(row(occurred_at=None))
