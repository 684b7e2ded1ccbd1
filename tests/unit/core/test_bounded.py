"""What users' code returns or raises fits into the log, whatever it is."""

from __future__ import annotations

import traceback

import pytest
from rq.exceptions import AbandonedJobError

from rqcron_events.core.bounded import bounded, failure_data, result_text, type_name


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")

    __repr__ = __str__


def told(error: BaseException, place: object, **limits: int) -> dict[str, str]:
    limits = {"message_bytes_max": 100, "traceback_bytes_max": 400, **limits}
    return failure_data(type(error), error, place, **limits)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 5, "short"),
        ("longer", 5, "longe…"),
        ("", 0, ""),
        ("ééé", 3, "é…"),
        ("a\0b", 9, "a\N{REPLACEMENT CHARACTER}b"),
        ("half \ud800", 9, "half ?"),
    ],
)
def test_text_is_cut_at_whole_characters_and_can_be_stored(text, limit, expected):
    assert bounded(text, limit) == expected


def test_the_end_of_a_traceback_is_kept():
    assert bounded("first middle last", 4, keep_end=True) == "…last"


def test_an_error_has_its_type_its_message_and_where_it_was_raised():
    with pytest.raises(ValueError, match="on purpose") as caught:
        int("on purpose")
    found = told(caught.value, caught.tb)
    assert found["type"] == "ValueError"
    assert found["message"].endswith("'on purpose'")
    assert 'int("on purpose")' in found["traceback"]


def test_a_type_of_another_module_is_named_with_it():
    assert told(Unprintable(), None)["type"] == f"{__name__}.Unprintable"


def test_an_error_that_cannot_be_shown_is_told_all_the_same():
    assert told(Unprintable(), None)["message"] == "<Unprintable that cannot be shown>"
    assert result_text(Unprintable(), 100) == "<Unprintable that cannot be shown>"


def test_a_stack_in_place_of_a_traceback_is_left_out():
    """RQ 2.10 calls failure callbacks of abandoned jobs with one."""
    found = told(AbandonedJobError(), traceback.extract_stack())
    assert found["type"] == "rq.exceptions.AbandonedJobError"
    assert "AbandonedJobError" in found["traceback"]


def test_no_error_is_empty():
    assert set(
        failure_data(None, None, None, message_bytes_max=1, traceback_bytes_max=1).values()
    ) == {""}


class Liar(type):
    def __getattribute__(cls, name):
        if name in ("__qualname__", "__name__", "__module__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Odd(str):
    """A text whose methods are not those of one."""

    __slots__ = ()

    def replace(self, *_):
        raise SystemExit

    encode = __getitem__ = replace


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ValueError, "ValueError"),
        (type("E" * 1_000_000, (Exception,), {"__module__": "m"}), "m." + "E" * 198 + "…"),
        (type("E", (Exception,), {"__module__": "m" * 1_000_000}), "m" * 200 + "…"),
        (type("E", (Exception,), {"__module__": 7}), "E"),
        (type("E", (Exception,), {"__module__": property(print)}), "E"),
        (Liar("E", (Exception,), {"__module__": "m"}), "m.E"),
        (type("E", (Exception,), {"__module__": "a\0b \ud800"}), "a\ufffdb ?.E"),
    ],
    ids=["plain", "long", "of a long module", "of a number", "of a property", "liar", "unstorable"],
)
def test_the_name_of_a_type_is_bounded_whatever_it_is(kind, name):
    assert type_name(kind) == name
    assert told(kind(), None)["type"] == name


class Exits(Exception):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__


class Odds(Exception):
    def __str__(self):
        return Odd("odd")


def test_a_text_that_ends_the_process_or_is_not_what_it_seems_is_told_all_the_same():
    assert told(Exits(), None)["message"] == "<Exits that cannot be shown>"
    assert told(Odds(), None)["message"] == "odd"
    assert result_text(Exits(), 100) == "<Exits that cannot be shown>"


def test_a_traceback_that_cannot_be_made_is_told_all_the_same(monkeypatch):
    monkeypatch.setattr(traceback, "format_exception", None)
    assert told(ValueError("a"), None)["traceback"] == "ValueError, whose traceback cannot be shown"


def test_of_a_large_result_no_more_is_made_than_is_kept():
    def endless():
        while True:
            yield "a", 1

    class Endless(dict):
        items = staticmethod(endless)

    assert result_text(Endless(a=1), 5) == '{"a":…'
    nested = [[[]]]
    for _ in range(100_000):
        nested = [nested]
    assert result_text(nested, 50) == "[" * 50 + "…"


@pytest.mark.parametrize(
    ("result", "text"),
    [(None, "null"), ({"a": [1]}, '{"a": [1]}'), ("é", '"é"'), ({1}, "{1}"), ("x" * 99, '"xxxx…')],
)
def test_a_result_is_json_or_its_repr_within_its_bound(result, text):
    assert result_text(result, 5 if text.endswith("…") else 50) == text
