"""Where a shadow is built: in the caller's database session, or beside it in one of its own.

A database connection belongs to its thread, so a session of its own is a thread. It is worth it
for a shadow that the database builds nearly alone, since that thread mostly waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, Protocol, TypeVar

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

__all__ = ["Session", "open_session"]

T = TypeVar("T")

STOP_SECONDS = 0.1
"""Between two requests to end a statement."""


class Session(Protocol):
    """Does one thing after the other."""

    stopped: Event
    """Set when the caller has given up: what is under way should end, and change nothing more."""

    def start(self, work: Callable[..., T], *given: Any) -> Future[T]: ...


class _Here:
    """The work is done when ``start`` returns."""

    def __init__(self) -> None:
        self.stopped = Event()

    def start(self, work: Callable[..., T], *given: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(work(*given))
        except Exception as error:
            done.set_exception(error)
        return done


class _Beside:
    def __init__(self) -> None:
        self.stopped = Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="rqcron-shadow")
        self._last: Future[Any] = Future()
        self._db: BaseDatabaseWrapper | None = None

    def start(self, work: Callable[..., T], *given: Any) -> Future[T]:
        self._last = started = self._executor.submit(work, *given)
        return started

    def connect(self) -> None:
        db = store.connection()
        backend_of(db).leave_pool(db)
        self._db = store.connection()
        self._db.ensure_connection()

    def stop(self) -> None:
        """End the work, so that nobody who pressed Ctrl-C waits for it; again while there is more,
        because the database may be between two statements."""
        self.stopped.set()
        while not self._last.done():
            with suppress(Exception):
                if self._db is not None:
                    backend_of(self._db).interrupt(self._db)
            wait([self._last], STOP_SECONDS)

    def close(self) -> None:
        try:
            self.start(connections.close_all).result()
        finally:
            self._executor.shutdown()


@contextmanager
def open_session(*, beside: bool) -> Iterator[Session]:
    """One of its own if wanted, and where that can be: not inside a transaction, whose rows it would
    not see, not through a pooler, which may have no other than the one that is used here, and not
    when the server has no connection to give. Waits for its work at the end."""
    db = store.connection()
    inside = db.in_atomic_block or not db.get_autocommit()
    if not beside or inside or backend_of(db).is_pooled(db):
        yield _Here()
        return
    session = _Beside()
    try:
        try:
            session.start(session.connect).result()
        except DatabaseError:
            yield _Here()
        else:
            yield session
    except BaseException as error:
        if not isinstance(error, Exception):
            session.stop()
        raise
    finally:
        session.close()
