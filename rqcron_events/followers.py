"""What else follows the log while a runner leads, such as the projections.

``rqcron_events`` knows nothing of them: they register here when their app is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

__all__ = ["Follower", "followers", "register_follower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Something that is computed from the log."""

    catch_up: Callable[[], int]
    """Applies what was appended since, or a part of it that takes a second at most, and returns the
    number of events: 0 when nothing is left."""
    position: Callable[[], int] | None = None
    """The id of the last event that is applied, for ``cron_health``."""
    build_again: Callable[[Collection[str]], list[str]] | None = None
    """Is told of readers (as in the quarantine) that can read now what they left out; folds the log
    anew for those that are its own, and returns their names."""
    problems: Callable[[], list[str]] | None = None
    """What is wrong with it now, one sentence for each, for ``cron_health``."""


followers: dict[str, Follower] = {}
"""By name."""


def register_follower(
    name: str,
    catch_up: Callable[[], int],
    position: Callable[[], int] | None = None,
    build_again: Callable[[Collection[str]], list[str]] | None = None,
    problems: Callable[[], list[str]] | None = None,
) -> None:
    """Have ``catch_up`` called about once a second by the leading runner, in a thread of its own, and
    again at once for as long as it finds events."""
    followers[name] = Follower(
        catch_up=catch_up, position=position, build_again=build_again, problems=problems
    )
