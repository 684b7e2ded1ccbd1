"""What the databases would refuse is found by its place."""

from __future__ import annotations

import json

import pytest

from rqcron_events.core.events.storable import NESTING_MAX, why_not_storable


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"description": "a\0b"}, "description has NUL at position 1"),
        ({"description": "\ud800"}, "description has the lone surrogate '\\ud800' at position 0"),
        ({"meta": {"x": [1, float("nan")]}}, "meta.x[1] is nan, which JSON does not have"),
        ({"meta": {"x": float("-inf")}}, "meta.x is -inf, which JSON does not have"),
        ({"meta": {"\udfff": 1}}, "a key in meta has the lone surrogate '\\udfff' at position 0"),
        ({"meta": {1: 1}}, "meta has the key 1, and JSON takes only text"),
        ({"meta": {"x": {1, 2}}}, "meta.x is a set, which JSON does not have"),
        ({"meta": nested(NESTING_MAX + 1)}, f"meta is nested deeper than {NESTING_MAX} levels"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(value, words):
    assert why_not_storable(value) == words


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        10**30,
        1.5,
        "\n\x1b\u202e\U0001f469\u200d\U0001f467",
        {"a": [{}, ()]},
        nested(40),
    ],
)
def test_what_can_be_stored_is_left_alone(value):
    assert why_not_storable({"value": value}) == ""
    json.dumps(value, allow_nan=False)
