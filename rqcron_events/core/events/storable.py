"""What an event cannot hold, because JSON, UTF-8 or the database does not take it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["NESTING_MAX", "why_not_storable"]

NESTING_MAX = 50
"""Python's JSON and PostgreSQL's parser give up at some depth of their own; nobody needs this one."""


def why_not_storable(value: Any, where: str = "", depth: int = 0) -> str:
    """The first thing that cannot be stored, with its place in ``value``; empty when all can.

    PostgreSQL has no NUL in text, UTF-8 has no lone surrogates, JSON has no NaN and no infinity.

    >>> why_not_storable({"meta": {"ratio": float("nan")}})
    'meta.ratio is nan, which JSON does not have'
    """
    if depth > NESTING_MAX:
        return f"{_top(where)} is nested deeper than {NESTING_MAX} levels"
    match value:
        case None | bool() | int():
            return ""
        case float():
            return "" if math.isfinite(value) else f"{where} is {value}, which JSON does not have"
        case str():
            return _why_not_text(value, where)
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    return f"{where} has the key {key!r}, and JSON takes only text"
                found = _why_not_text(key, f"a key in {where or 'it'}") or why_not_storable(
                    item, f"{where}.{key}" if where else key, depth + 1
                )
                if found:
                    return found
            return ""
        case list() | tuple():
            for index, item in enumerate(value):
                found = why_not_storable(item, f"{where}[{index}]", depth + 1)
                if found:
                    return found
            return ""
        case _:
            return f"{where} is a {type(value).__name__}, which JSON does not have"


def _why_not_text(text: str, where: str) -> str:
    for at, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            what = "NUL" if character == "\0" else f"the lone surrogate {character!a}"
            return f"{where} has {what} at position {at}"
    return ""


def _top(where: str) -> str:
    return where.partition(".")[0].partition("[")[0]
