"""What somebody may ask for one run alone: when it begins, and its arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .. import clock
from ..core.events.storable import why_not_storable
from ..cron_options import function_fault
from ..errors import CronConfigError
from ..registry import registry

__all__ = ["check_arguments", "check_begin"]

AHEAD_MAX = timedelta(days=366)
ARGUMENTS_BYTES_MAX = 20_000
"""Of both as JSON: they stand in the log for ever, and in memory of every runner while the run is open."""


def check_begin(at: datetime) -> None:
    """Raises CronConfigError unless it is an instant within the next year."""
    if at.tzinfo is None:
        raise CronConfigError(f"at={at.isoformat()} has no time zone. Add +00:00 or Z.")
    now = clock.now()
    if at <= now:
        raise CronConfigError(
            f"at={at.isoformat()} is in the past. Give a later time; for past slots: cron_backfill."
        )
    if at > now + AHEAD_MAX:
        raise CronConfigError(
            f"at={at.isoformat()} is more than a year ahead. Give a time within {AHEAD_MAX.days} days, or "
            "a cron a schedule."
        )


def check_arguments(
    name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> None:
    """Raises CronConfigError for what the log cannot hold, or the cron's function does not take, as far
    as this process's code has it."""
    if args is None and kwargs is None:
        return
    if (args is not None and not isinstance(args, list | tuple)) or (
        kwargs is not None and not isinstance(kwargs, Mapping)
    ):
        raise CronConfigError("args must be a list and kwargs an object of JSON.")
    given = {"args": list(args or ()), "kwargs": dict(kwargs or {})}
    if found := why_not_storable(given):
        raise CronConfigError(f"{found}. Give plain JSON.")
    size = len(json.dumps(given, ensure_ascii=False).encode())
    if size > ARGUMENTS_BYTES_MAX:
        raise CronConfigError(
            f"args and kwargs have {size:,} bytes; at most {ARGUMENTS_BYTES_MAX:,} are allowed. Store the "
            "data elsewhere and give its key."
        )
    registry.discover()
    cron = registry.find(name)
    if cron is None:
        return
    own = (cron.args if args is None else tuple(args), cron.kwargs if kwargs is None else kwargs)
    if fault := function_fault(cron.function, *own):
        raise CronConfigError(f"Cron {name!r}: {fault}.")
