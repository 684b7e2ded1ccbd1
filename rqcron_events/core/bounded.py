"""Results and errors as text within bounds: what users' code returns or raises has no limits."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .events.keys import ERROR_MESSAGE, ERROR_TRACEBACK, ERROR_TYPE

__all__ = ["TYPE_BYTES_MAX", "bounded", "failure_data", "result_text"]

TYPE_BYTES_MAX = 200
"""Of the name of an exception's class."""


def bounded(text: str, bytes_max: int, *, keep_end: bool = False) -> str:
    """The text within a number of UTF-8 bytes, without NUL, which PostgreSQL cannot store."""
    raw = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    if len(raw) <= bytes_max:
        return raw.decode()
    if keep_end:
        return "…" + raw[len(raw) - bytes_max :].decode(errors="ignore")
    return raw[:bytes_max].decode(errors="ignore") + "…"


def failure_data(
    exc_type: type[BaseException] | None,
    exc_value: BaseException | None,
    exc_traceback: TracebackType | None,
    *,
    message_bytes_max: int,
    traceback_bytes_max: int,
) -> dict[str, str]:
    """``type``, ``message`` and ``traceback`` (its end is kept) of an exception."""
    if exc_type is None:
        return {ERROR_TYPE: "", ERROR_MESSAGE: "", ERROR_TRACEBACK: ""}
    module = exc_type.__module__
    name = exc_type.__qualname__ if module == "builtins" else f"{module}.{exc_type.__qualname__}"
    # For an abandoned job RQ 2.10 passes the stack of the process that noticed, which is no traceback.
    raised_at = exc_traceback if isinstance(exc_traceback, TracebackType) else None
    lines = traceback.format_exception(exc_type, exc_value, raised_at)
    return {
        ERROR_TYPE: name,
        ERROR_MESSAGE: bounded(_rendered(str, exc_value), message_bytes_max),
        ERROR_TRACEBACK: bounded("".join(lines), traceback_bytes_max, keep_end=True),
    }


def result_text(result: Any, bytes_max: int) -> str:
    """A return value as JSON, or its ``repr`` where JSON has no such thing."""
    try:
        text = json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):
        text = _rendered(repr, result)
    return bounded(text, bytes_max)


def _rendered(render: Callable[[Any], str], value: Any) -> str:
    try:
        return render(value)
    except Exception:  # users' __str__ and __repr__ may raise anything
        return f"<{type(value).__name__} that cannot be shown>"
