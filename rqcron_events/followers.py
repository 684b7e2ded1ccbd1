"""Who follows the log: read models that the leading runner keeps up to date.

Other apps put themselves in here, so that this package never imports one of them.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["followers", "register_follower"]

followers: dict[str, Callable[[], int]] = {}
"""By name; each reads what is new in the log and returns how many events it applied."""


def register_follower(name: str, catch_up: Callable[[], int]) -> None:
    """Ask the leading runner to call ``catch_up`` while it leads, in a thread beside its own.

    A follower must be safe to call from several processes at a time: two may lead for a moment.
    """
    followers[name] = catch_up
