"""A session for a look that has to end, even when PostgreSQL does not answer any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .sessions import hang_up, without_pool

__all__ = ["bounded_session"]

CONNECT_SECONDS_MAX = 3
HANG_UP_SECONDS = 0.1
"""Between two tries, because the session may be about to connect."""


@contextmanager
def bounded_session(db: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
    if any(getattr(block, "_from_testcase", False) for block in db.atomic_blocks):
        yield  # what a test of Django's wrote is in this transaction, and nowhere else
        return
    own = without_pool(db)
    options = own.settings_dict["OPTIONS"]
    given = options.get("connect_timeout") or CONNECT_SECONDS_MAX
    options["connect_timeout"] = min(int(given), CONNECT_SECONDS_MAX)
    over, late = Event(), Event()
    watch = Thread(target=_hang_up, args=(own, seconds, over, late), daemon=True)
    connections[db.alias] = own
    watch.start()
    try:
        yield
    except Error as error:
        if late.is_set():
            raise OperationalError(f"no answer within {seconds:g} s") from error
        if isinstance(error, InterfaceError):  # no DatabaseError, for Django
            raise OperationalError(str(error)) from error
        raise
    finally:
        over.set()
        connections[db.alias] = db
        with suppress(Exception):  # of no use any more, whatever is wrong with it
            own.close()


def _hang_up(db: BaseDatabaseWrapper, seconds: float, over: Event, late: Event) -> None:
    """Take the line from under a session that is not over by then."""
    if over.wait(seconds):
        return
    late.set()
    while not over.wait(HANG_UP_SECONDS):
        with suppress(Exception):
            hang_up(db)
