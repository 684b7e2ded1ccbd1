"""Results and errors as text within bounds: what users' code returns or raises has no limits."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .events.keys import ERROR_MESSAGE, ERROR_TRACEBACK, ERROR_TYPE

__all__ = ["TYPE_BYTES_MAX", "bounded", "failure_data", "result_text", "shown", "type_name"]

TYPE_BYTES_MAX = 200
"""Of the name of an exception's class."""
_iterencode = json.JSONEncoder(ensure_ascii=False).iterencode
"""Bound here, so that it is not what somebody puts into the module ``json`` later."""


def bounded(text: str, bytes_max: int, *, keep_end: bool = False) -> str:
    """The text within a number of UTF-8 bytes, without NUL, which PostgreSQL cannot store."""
    # A character has a byte at least: what is beyond need not be copied. As str does it, whatever a
    # class of the user's made of that.
    part = slice(-bytes_max - 1, None) if keep_end else slice(bytes_max + 1)
    near = str.__getitem__(text, part)
    raw = near.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    if len(raw) <= bytes_max:
        return raw.decode()
    if keep_end:
        return "…" + raw[len(raw) - bytes_max :].decode(errors="ignore")
    return raw[:bytes_max].decode(errors="ignore") + "…"


def type_name(kind: type) -> str:
    """Module and qualified name of a class, bounded. A metaclass has no say in it."""
    name: str = type.__dict__["__qualname__"].__get__(kind)
    module: Any = type.__dict__["__module__"].__get__(kind)
    if isinstance(module, str) and module != "builtins":
        name = f"{bounded(module, TYPE_BYTES_MAX)}.{bounded(name, TYPE_BYTES_MAX)}"
    return bounded(name, TYPE_BYTES_MAX)


def shown(value: Any, bytes_max: int, render: Callable[[Any], str] = str) -> str:
    """A value as its own ``__str__`` or ``__repr__`` has it, bounded, or that it has none.

    The caller bounds the time (``process.time_limit``).
    """
    try:
        return bounded(render(value), bytes_max)
    except BaseException:  # users' methods may raise anything, SystemExit included
        return f"<{type_name(type(value)).rpartition('.')[2]} that cannot be shown>"


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
    # For an abandoned job RQ 2.10 passes the stack of the process that noticed, which is no traceback.
    raised_at = exc_traceback if isinstance(exc_traceback, TracebackType) else None
    return {
        ERROR_TYPE: type_name(exc_type),
        ERROR_MESSAGE: shown(exc_value, message_bytes_max),
        ERROR_TRACEBACK: _traceback(exc_type, exc_value, raised_at, traceback_bytes_max),
    }


def _traceback(
    exc_type: type[BaseException],
    exc_value: BaseException | None,
    raised_at: TracebackType | None,
    bytes_max: int,
) -> str:
    """It formats what the exception was made of: notes, causes, groups, lines of files."""
    try:
        lines = traceback.format_exception(exc_type, exc_value, raised_at)
        return bounded("".join(lines), bytes_max, keep_end=True)
    except BaseException:
        return f"{type_name(exc_type)}, whose traceback cannot be shown"


def result_text(result: Any, bytes_max: int) -> str:
    """A return value as JSON, or its ``repr`` where JSON has no such thing."""
    try:
        parts: list[str] = []
        size = 0
        for part in _iterencode(result):
            parts.append(part)
            size += len(part)
            if size > bytes_max:  # the rest would be cut
                break
        return bounded("".join(parts), bytes_max)
    except Exception:  # the methods of a user's class take part in it
        return shown(result, bytes_max, repr)
