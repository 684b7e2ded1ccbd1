"""The bytes of one stored event that are hashed: RFC 8785 canonical JSON of its columns.

This is the one place that knows them. The keys are ``KEYS``; times are UTC with six digits and ``Z``, a
run's id is a UUID, ``data`` is JSON. Where ``data`` has no canonical form (numbers beyond IEEE doubles,
a key twice, no JSON, nested too deeply) its stored text stands under ``data_text`` instead.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from ..codec import Row

__all__ = ["KEYS", "NESTING_MAX", "leaf"]

KEYS = (
    "id", "stream", "version", "type", "schema_version", "cron", "run_id", "attempt",
    "scheduled_for", "reason", "actor", "occurred_at", "recorded_at", "data",
)  # fmt: skip
"""In the order of a stored row."""
NESTING_MAX = 100
"""Of ``data``. Deeper, whether Python can read it would depend on who calls."""
INTEGER_MAX = 2**53 - 1
"""Larger ones are no exact doubles, and so no canonical JSON."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def leaf(row: Row) -> bytes:
    """What stands for this event in the tree. Never raises: a damaged event is sealed as it is."""
    (id_, stream, version, kind, schema, cron, run, attempt, slot, reason, actor, occurred_at,
     recorded_at, text) = row  # fmt: skip
    columns: dict[str, Any] = {
        "id": id_,
        "stream": stream,
        "version": version,
        "type": kind,
        "schema_version": schema,
        "cron": cron,
        "run_id": run and _uuid(run.hex()),
        "attempt": attempt,
        "scheduled_for": slot and _time(slot),
        "reason": reason,
        "actor": actor,
        "occurred_at": occurred_at and _time(occurred_at),
        "recorded_at": recorded_at and _time(recorded_at),
    }
    try:  # the quick way: Python's encoder in C, where it writes what RFC 8785 says
        _check_nesting(text)
        # Beyond ASCII, Python sorts by code points and RFC 8785 by UTF-16 units: not this way.
        return _encode({**columns, "data": _COMMON.decode(text)}).encode("ascii")
    except Exception:  # uncommon, or damaged
        return _exact(columns, text)


def _exact(columns: dict[str, Any], text: str) -> bytes:
    try:
        _check_nesting(text)
        return _canonical({**columns, "data": _ANY.decode(text)})
    except Exception:  # no canonical form, or no JSON
        as_stored = {**columns, "data_text": text}
    try:
        return _canonical(as_stored)
    except Exception:  # a column that is no text or number at all, as SQLite allows
        return json.dumps(as_stored, sort_keys=True, default=repr).encode()


def _canonical(value: dict[str, Any]) -> bytes:
    import rfc8785

    return rfc8785.dumps(value)


def _check_nesting(text: str) -> None:
    if text.count("{") + text.count("[") <= NESTING_MAX:
        return
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > NESTING_MAX:
            raise ValueError(f"nested deeper than {NESTING_MAX}")


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _time(value: datetime) -> str:
    text = value.isoformat(timespec="microseconds")
    if not text.endswith("+00:00"):
        text = value.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text[:-6]}Z"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers of JSON differ in which of two equal keys counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _common_int(text: str) -> int:
    value = int(text)
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise ValueError(f"{text} is no exact double")
    return value


def _common_float(text: str) -> float | int:
    """Where Python and RFC 8785 write the same digits: no exponent, and nothing behind the point
    where that is nought."""
    value = float(text)
    if value.is_integer():
        return _common_int(str(int(value)))
    if abs(value) < 1e-4:
        raise ValueError(f"{text} is written with an exponent")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_COMMON = json.JSONDecoder(
    object_pairs_hook=_each_once,
    parse_int=_common_int,
    parse_float=_common_float,
    parse_constant=_no_number,
)
_ANY = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_number)
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
