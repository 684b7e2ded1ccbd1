"""Calling the followers of the log, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from ... import clock
from ...core.wording import clause
from ...followers import followers
from ...ledger import store

__all__ = ["flush_all", "follow_all", "follow_some", "seconds_until_look"]

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_AT = 0.4
"""Of each second, when nothing is left. Slots come due as it begins: who decides and hands over has its first part
for itself."""
STEPS_MAX = 100_000
"""Of ``follow_all``, should writers stay ahead of it for ever."""

_failing: set[str] = set()
"""Followers whose failure this process has logged, and that have not caught up since."""


def seconds_until_look() -> float:
    """Until the end of the log is looked at again: a second at most."""
    return 1.0 - (clock.machine_seconds() - LOOK_AT) % 1.0


def follow_all() -> None:
    """Let every follower catch up with the log of now."""
    for _ in range(STEPS_MAX):
        if not follow_some():
            return


def follow_some() -> bool:
    """Let every follower get on; False when none had anything left to do.

    One that raises is logged, once until it works again, and does not stop the others.
    """
    return (
        sum(_call(name, follower.catch_up) or 0 for name, follower in list(followers.items())) > 0
    )


def flush_all() -> None:
    """Before the process ends: wait, some seconds at most, for what followers do beside."""
    for name, follower in list(followers.items()):
        if follower.flush is not None:
            _call(name, follower.flush)


def _call(name: str, function: Callable[[], T]) -> T | None:
    try:
        found = function()
    except Exception as error:  # a broken projection must not touch the runner
        if name not in _failing:
            _failing.add(name)
            log.error(
                "Follower %s failed: %s. It is called again; nothing else waits for it.",
                name,
                clause(error),
                extra={"action": "follower_failed", "follower": name},
            )
        store.connection().close()
        return None
    if name in _failing:
        _failing.discard(name)
        log.warning(
            "Follower %s works again.",
            name,
            extra={"action": "follower_recovered", "follower": name},
        )
    return found
