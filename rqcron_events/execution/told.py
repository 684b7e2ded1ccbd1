"""What a user's function raised or returned, as text: bounded in size by ``core.bounded``, in time here.

RQ formats an exception by itself, without a bound: an exception whose ``__str__`` never returns
would hold the worker until RQ kills the work-horse, a minute after the job's timeout, and one of
100 MB would go to Redis. Such an exception never leaves the job; ``CannotBeShown`` stands for it.
"""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from .. import clock
from ..conf import conf
from ..core.bounded import failure_data, result_text, shown, type_name
from ..core.events.keys import ERROR_MESSAGE, ERROR_TRACEBACK, ERROR_TYPE
from ..process.time_limit import TookTooLong, time_limit

__all__ = ["CannotBeShown", "failure_of", "presentable", "result_of", "text_of"]

SECONDS_MAX = 2.0
TEXT_MAX = 1_000_000
"""Characters of a whole traceback, as RQ would keep it."""


class CannotBeShown(Exception):
    """Stands for an exception of which no text can be had within bounds."""

    def __init__(self, kind: type[BaseException], why: str) -> None:
        super().__init__(f"{type_name(kind)} that cannot be shown: {why}")
        self.kind = kind


def presentable(error: BaseException) -> BaseException:
    """The exception itself, or what stands for it when it cannot be formatted as RQ will do it."""
    began = clock.monotonic_seconds()
    why = ""
    try:
        with time_limit(SECONDS_MAX):
            if len("".join(traceback.format_exception(error))) > TEXT_MAX:
                why = f"its text is longer than {TEXT_MAX:,} characters"
    except BaseException as other:
        why = f"{type_name(type(other))} was raised"
    # What interrupts it may have been caught in there, too.
    if clock.monotonic_seconds() - began >= SECONDS_MAX:
        why = f"it took more than {SECONDS_MAX:.0f} s"
    if not why:
        return error
    return CannotBeShown(type(error), why).with_traceback(error.__traceback__)


def failure_of(
    exc_type: type[BaseException] | None,
    exc_value: BaseException | None,
    exc_traceback: TracebackType | None,
) -> dict[str, str]:
    """See ``failure_data``; with the type of what cannot be shown."""
    limits = conf()
    if isinstance(exc_value, CannotBeShown):
        exc_traceback = exc_value.__traceback__
    try:
        with time_limit(2 * SECONDS_MAX):
            found = failure_data(
                exc_type,
                exc_value,
                exc_traceback,
                message_bytes_max=limits.message_bytes_max,
                traceback_bytes_max=limits.traceback_bytes_max,
            )
    except TookTooLong:
        message = "<it took too long to be shown>"
        found = {ERROR_TYPE: "", ERROR_MESSAGE: message, ERROR_TRACEBACK: ""}
    kind = exc_value.kind if isinstance(exc_value, CannotBeShown) else exc_type
    return {**found, ERROR_TYPE: type_name(kind) if kind else ""}


def result_of(result: Any) -> str:
    """See ``result_text``."""
    return _in_time(lambda: result_text(result, conf().result_bytes_max))


def text_of(error: BaseException) -> str:
    """The exception as text."""
    return _in_time(lambda: shown(error, conf().message_bytes_max))


def _in_time(render: Any) -> str:
    try:
        with time_limit(SECONDS_MAX):
            found: str = render()
            return found
    except TookTooLong:
        return "<it took too long to be shown>"
