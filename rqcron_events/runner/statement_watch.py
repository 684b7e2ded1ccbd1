"""A bound on every statement of the deciding thread, whatever holds it up.

By ending it from outside: a ``statement_timeout`` of the session would stay behind in the connection
of a pooler, for whoever gets that next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from .. import clock
from ..ledger import store
from ..ledger.backend import backend_of

__all__ = ["StatementWatch"]

log = logging.getLogger(__name__)

SECONDS_MAX = 30.0
"""How long the deciding thread may be without progress: a step of a tick reads a page, or appends the
decisions of one round."""
START_SECONDS_MAX = 300.0
"""The same before the first tick, when it reads all that it has to know."""
STOP_SECONDS_MAX = 5.0
"""The same once the runner is asked to stop: whoever asked waits for a bounded time."""
LOOK_SECONDS = 1.0


class StatementWatch(threading.Thread):
    """Ends the statement in which the thread that it watches has hung for too long.

    That thread then sees a database error, as when the database goes away, and tries again.
    """

    def __init__(self) -> None:
        super().__init__(name="rqcron-watch", daemon=True)
        self._db: BaseDatabaseWrapper | None = None
        self._progress_at: float | None = None
        self._seconds_max = SECONDS_MAX
        self._hurries = False
        self._ended_at: float | None = None
        """The begin of the last step whose statement was ended."""
        self._stopping = threading.Event()

    @contextmanager
    def watching(self, seconds_max: float | None = None) -> Iterator[None]:
        """The block is the calling thread's work with its connection; each step of it may take so long."""
        self._seconds_max = SECONDS_MAX if seconds_max is None else seconds_max
        self._db = store.connection()
        self.progress()
        try:
            yield
        finally:
            self._progress_at = None

    def progress(self) -> None:
        """Another step begins."""
        self._progress_at = clock.monotonic_seconds()

    def hurry(self) -> None:
        """The runner is asked to stop. Safe in a signal handler."""
        self._hurries = True

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """End what has taken too long, if something has."""
        progress_at, db = self._progress_at, self._db
        if progress_at is None or db is None:
            return
        seconds = clock.monotonic_seconds() - progress_at
        bound = min(self._seconds_max, STOP_SECONDS_MAX) if self._hurries else self._seconds_max
        if seconds <= bound:
            return
        try:
            if self._ended_at == progress_at:  # it goes on all the same
                backend_of(db).hang_up(db)
                return
            self._ended_at = progress_at
            log.error(
                "The database has been at one step for %.0f s; its statement is ended.",
                seconds,
                extra={"action": "statement_ended"},
            )
            backend_of(db).interrupt(db)
        except Exception as error:  # the next look tries again
            log.debug(
                "The statement could not be ended: %s",
                error,
                extra={"action": "statement_not_ended"},
            )
