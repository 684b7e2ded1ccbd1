"""What else follows the log while a runner leads, such as the projections.

``rqcron_events`` knows nothing of them: they register here when their app is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Follower", "followers", "register_follower", "taking_long", "while_taking_long"]


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
    flush: Callable[[], None] | None = None
    """Waits, some seconds at most, for what it does beside ``catch_up``, in a process that is about to end."""


followers: dict[str, Follower] = {}
"""By name."""


def register_follower(
    name: str,
    catch_up: Callable[[], int],
    position: Callable[[], int] | None = None,
    build_again: Callable[[Collection[str]], list[str]] | None = None,
    problems: Callable[[], list[str]] | None = None,
    flush: Callable[[], None] | None = None,
) -> None:
    """Have ``catch_up`` called about once a second while a runner leads, beside it (in a process of its
    own on PostgreSQL), and again at once for as long as it finds events. What takes longer than a second, such
    as a call over the network, belongs into a thread; ``flush`` waits for it where the process ends.

    Call this in ``AppConfig.ready``, which runs in that process, too. For a short time two processes may
    call ``catch_up`` at once, as when another runner takes the lead: it has to save its position
    together with what it makes of the events, and only if that is still where it began."""
    followers[name] = Follower(
        catch_up=catch_up,
        position=position,
        build_again=build_again,
        problems=problems,
        flush=flush,
    )


_tell: Callable[[bool], None] | None = None


@contextmanager
def taking_long() -> Iterator[None]:
    """Around what may take a follower minutes, so that nobody thinks that it hangs."""
    if _tell is not None:
        _tell(True)
    try:
        yield
    finally:
        if _tell is not None:
            _tell(False)


@contextmanager
def while_taking_long(tell: Callable[[bool], None]) -> Iterator[None]:
    """For who calls the followers in the block: ``tell`` is called where such work begins and ends."""
    global _tell
    before, _tell = _tell, tell
    try:
        yield
    finally:
        _tell = before
