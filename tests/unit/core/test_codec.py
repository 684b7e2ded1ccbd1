"""Old shapes of events are brought up to date when they are read, step by step."""

from __future__ import annotations

import json

import pytest

from rqcron_events.core import codec
from rqcron_events.core.codec import decode_data, encode_data, schema_version
from rqcron_events.core.events import EventType

FIRED = EventType.SLOT_FIRED


@pytest.fixture
def three_versions(monkeypatch):
    """slot_fired had ``late``, then ``lateness``, now ``lateness_seconds``."""
    monkeypatch.setitem(codec.SCHEMA_VERSIONS, FIRED, 3)
    monkeypatch.setitem(
        codec.UPCASTERS, (FIRED, 1), lambda data: {"lateness": data["late"], "by": "upcaster 1"}
    )
    monkeypatch.setitem(
        codec.UPCASTERS,
        (FIRED, 2),
        lambda data: {"lateness_seconds": data["lateness"], "by": data.get("by", "") + " and 2"},
    )


def test_data_of_the_current_version_is_returned_as_it_is():
    data = {"lateness_seconds": 1}
    assert decode_data(FIRED, schema_version(FIRED), data) is data


def test_the_oldest_version_goes_through_every_step(three_versions):
    assert decode_data(FIRED, 1, {"late": 5}) == {"lateness_seconds": 5, "by": "upcaster 1 and 2"}


def test_a_middle_version_goes_through_the_rest(three_versions):
    assert decode_data(FIRED, 2, {"lateness": 5}) == {"lateness_seconds": 5, "by": " and 2"}


def test_other_types_are_not_touched(three_versions):
    assert decode_data(EventType.SLOT_MISSED, 1, {"late": 5}) == {"late": 5}


def test_a_version_that_this_release_does_not_know_is_refused(three_versions):
    with pytest.raises(
        ValueError, match=r"schema version 4, but this release knows only 3\. Upgrade"
    ):
        decode_data(FIRED, 4, {})


def test_every_step_to_a_current_version_exists():
    for event_type, current in codec.SCHEMA_VERSIONS.items():
        for version in range(1, current):
            assert (event_type, version) in codec.UPCASTERS


@pytest.mark.parametrize("data", [{}, {"a": 1}, {"ü": ["中", None, True, 1.5, {"b": {}}]}])
def test_encoded_data_is_the_same_after_decoding(data):
    text = encode_data(data)
    assert json.loads(text) == data
    assert ": " not in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1}, b"bytes"])
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        encode_data({"value": value})
