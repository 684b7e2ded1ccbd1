"""Going on from a place in the log, for whoever builds something out of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .. import clock
from ..conf import conf
from ..core.events import Event
from . import store
from .backend import backend_of
from .store import tail

__all__ = ["follow", "head", "tail"]

POLL_SECONDS = 0.3


def head() -> int:
    """The position after everything that is committed now.

    What is still being written comes after it: nothing that appears later is before it.
    """
    db = store.connection()
    safe: int | None = None
    while safe is None:  # somebody holds a transaction open; each try waits, with a bound
        safe = backend_of(db).safe_position(db, conf().tail_wait_seconds)
    return safe


def follow(
    position: int | None = None,
    *,
    poll_seconds: float = POLL_SECONDS,
    idle_seconds_max: float | None = None,
) -> Iterator[Event]:
    """Every event after ``position``, in order, then each new one once it is committed.

    :param position: the ``id`` of the last event that was dealt with, 0 for the whole log, None
        for what comes from now on. No event is missed, so storing each ``id`` is enough to go on.
    :param poll_seconds: how often an idle log is looked at.
    :param idle_seconds_max: end when nothing came for so long; None: never end.

    >>> for event in follow(last_id):  # doctest: +SKIP
    ...     if event.type == "run_failed":
    ...         alert(event)
    """
    place = head() if position is None else position
    last_seen = clock.monotonic_seconds()
    while True:
        page = tail(place)
        yield from page.events
        place = page.position
        if page.events:
            last_seen = clock.monotonic_seconds()
        elif idle_seconds_max is not None and (
            clock.monotonic_seconds() - last_seen >= idle_seconds_max
        ):
            return
        else:
            time.sleep(poll_seconds)
