"""Who tells the traces: a thread beside those that follow, so that an exporter that hangs delays nobody.

The log is its queue: it reads on only once the exporter has taken what was read before.
"""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rqcron_events import clock
from rqcron_events.core.wording import clause
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

from .conf import trace_conf
from .tell import checkpoint, tell_page

if TYPE_CHECKING:
    from .export import Exporter

__all__ = ["Teller", "flush", "follow", "position"]

log = logging.getLogger(__name__)

PAGE_EVENTS_MIN, PAGE_EVENTS_MAX = 10, 1_000
"""What is handed over at once comes from so many events: some 750 spans of runs without incident. After
a refusal there are fewer, because it may have been too much."""
BACK_OFF_SECONDS_MIN, BACK_OFF_SECONDS_MAX = 2.0, 60.0
IDLE_SECONDS_MAX = 60.0
"""After which the thread ends, and its connection with it."""
LOOK_SECONDS = 5.0
"""How often an idle log is asked for more than its newest event."""
FLUSH_SECONDS_MAX = 5.0
"""How long a process that is about to end waits for it: ``cron_run --once``."""

_tellers: list[Teller] = []
"""The one of this process, if it has one."""
_lock = threading.Lock()


def follow() -> int:
    """Have the thread go on; returns 0 at once, because nobody has to wait for it."""
    with _lock:
        if not (_tellers and _tellers[0].wake()):
            _tellers[:] = [Teller()]
            _tellers[0].start()
            _tellers[0].wake()
    return 0


def flush() -> None:
    """Wait until the rest of the log is told, or that has failed."""
    for teller in _tellers:
        teller.finish(FLUSH_SECONDS_MAX)


def position() -> int:
    """The id of the last event that is told; before the first call, that of the newest."""
    point = checkpoint()
    return point.position if point else store.newest().id


class Teller(threading.Thread):
    """One at a time in a process."""

    def __init__(self) -> None:
        super().__init__(name="rqcron-traces", daemon=True)
        self._woken = threading.Event()
        self._ends = threading.Event()
        self._is_over = False
        self._events = PAGE_EVENTS_MAX
        self._failures = 0
        self._next_try = 0.0
        """Monotonic seconds; so is the next."""
        self._next_look = 0.0
        self._newest: Any = None
        """The newest event, when all was told last."""

    def wake(self) -> bool:
        """False: it has ended, or is about to."""
        self._woken.set()
        return not self._is_over and self.is_alive()

    def finish(self, seconds_max: float) -> None:
        """Have it tell what is left, and end; wait for that."""
        self._ends.set()
        self._woken.set()
        self.join(seconds_max)

    def run(self) -> None:
        try:
            db = store.connection()
            backend_of(db).leave_pool(db)
            while self._woken.wait(IDLE_SECONDS_MAX):
                self._woken.clear()
                self._tell_all()
                if self._ends.is_set():
                    break
        finally:
            self._is_over = True
            store.connection().close()

    def _tell_all(self) -> None:
        now = clock.monotonic_seconds()
        if now < self._next_try:
            return
        try:
            newest = store.newest()
            if newest == self._newest and now < self._next_look:
                return
            self._newest = None
            while self._tell_some():
                pass
            self._newest, self._next_look = newest, now + LOOK_SECONDS
        except Exception as error:  # of the exporter, of the database, of a newer release
            self._failed(error)
            store.connection().close()

    def _tell_some(self) -> int:
        conf = trace_conf()
        told = tell_page(conf, _exporter(conf.exporter).export, self._events)
        if self._failures:
            log.warning("Traces are told again.", extra={"action": "traces_go_on"})
        self._failures, self._next_try = 0, 0.0
        self._events = min(self._events * 2, PAGE_EVENTS_MAX)
        return told

    def _failed(self, error: Exception) -> None:
        seconds = min(BACK_OFF_SECONDS_MIN * 2 ** min(self._failures, 10), BACK_OFF_SECONDS_MAX)
        self._next_try = clock.monotonic_seconds() + seconds
        self._events = max(self._events // 2, PAGE_EVENTS_MIN)
        log.log(
            logging.DEBUG if self._failures else logging.WARNING,
            "Traces wait: %s. They are tried again.",
            clause(error),
            extra={"action": "traces_wait"},
        )
        self._failures += 1


@lru_cache(maxsize=1)
def _exporter(path: str) -> Exporter:
    from .export import Exporter  # OpenTelemetry is loaded in the thread that uses it

    return Exporter(path)
