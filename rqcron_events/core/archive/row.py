"""A line of a segment as the row that it was made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ..codec import Row, json_text
from ..seal.leaf import INTEGER_MAX

__all__ = ["row_of"]


def row_of(line: bytes) -> Row:
    """The inverse of ``core.seal.leaf.leaf``: the same columns, and ``data`` with the same content, though
    its keys may have been in another order.

    Raises ValueError for what is no line of a segment. A time that is none makes ``occurred_at`` None, as the
    databases' readers do.
    """
    columns = json.loads(line, parse_int=_number)
    if not isinstance(columns, dict) or ("data" in columns) == ("data_text" in columns):
        raise ValueError("it is no event")
    try:
        data = columns["data_text"] if "data_text" in columns else json_text(columns["data"])
        run, slot = columns["run_id"], columns["scheduled_for"]
        occurred_at, recorded_at = _time(columns["occurred_at"]), _time(columns["recorded_at"])
        scheduled_for = _time(slot)
        if recorded_at is None or (slot is not None and scheduled_for is None):
            occurred_at = None
        return (
            columns["id"], columns["stream"], columns["version"], columns["type"],
            columns["schema_version"], columns["cron"], run and bytes.fromhex(run.replace("-", "")),
            columns["attempt"], scheduled_for, columns["reason"], columns["actor"], occurred_at,
            recorded_at, data,
        )  # fmt: skip
    except (KeyError, AttributeError) as error:
        raise ValueError(f"it is no event: {error}") from error


def _number(text: str) -> int | float:
    """Beyond that, only what was a float has a canonical form, and it is written without a point."""
    value = int(text)
    return value if -INTEGER_MAX <= value <= INTEGER_MAX else float(value)


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if value else None
    except (TypeError, ValueError):
        return None
