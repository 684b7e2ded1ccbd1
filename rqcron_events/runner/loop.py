"""The runner's process: one tick after the other, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import suppress
from datetime import datetime

from django.db import DatabaseError, InterfaceError

from .. import clock
from ..core.codec import NewerEvent
from ..core.downtime import DowntimeCause
from ..core.wording import clause
from ..ledger import store
from ..ledger.backend import backend_of
from ..process.gc_pause import IdleCollector
from ..process.stop_flag import StopFlag
from .following.beside import beside_the_runner
from .runner import Runner
from .statement_watch import START_SECONDS_MAX

__all__ = ["Loop"]

log = logging.getLogger(__name__)

BACKOFF_SECONDS_MAX = 5.0
CONNECT_SECONDS_MAX, GOODBYE_CONNECT_SECONDS_MAX = 10, 3
"""How long the deciding thread waits for a connection: nothing ends that from outside, a signal neither."""
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter while another wants it. By Python's default it is ten times
as long, and the deciding thread waits for it after each answer of the database."""


class Loop:
    """Ticks until SIGTERM, SIGINT or :meth:`stop`; database outages are waited out."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._stopping = StopFlag()
        self._followers = beside_the_runner()
        self._collector = IdleCollector()
        self._started = False
        self._failures = 0
        """Ticks that failed in a row."""
        self._away_since: datetime | None = None
        """When the database stopped answering."""

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        sys.setswitchinterval(SWITCH_SECONDS)  # the process is ours alone
        _connect_within(CONNECT_SECONDS_MAX)
        try:
            while not self._stopping.is_set():
                seconds = self._turn()
                self.runner.way.due_in(seconds)
                self._stopping.wait(max(seconds - self._collector.collect(seconds), 0))
        finally:
            if self._failures:  # it has no connection now
                _connect_within(GOODBYE_CONNECT_SECONDS_MAX)
            self.finish()
            self._collector.stop()

    def stop(self) -> None:
        self._stopping.set()
        self.runner.watch.hurry()

    def finish(self) -> None:
        """End what works beside, and say goodbye."""
        self.stop()
        self._followers.request_stop()
        if self._started:
            self._stop_runner()
        self.runner.watch.stop()  # the goodbye is watched, too
        self._followers.join()  # last: they have been stopping meanwhile

    def _on_signal(self, *_: object) -> None:
        self.stop()

    def _turn(self) -> float:
        """One tick, or what its failure calls for. Returns the seconds until the next."""
        try:
            seconds = self._tick()
        except (DatabaseError, InterfaceError) as error:
            return self._database_lost(error)
        except NewerEvent as error:
            return self._outdated(error)
        except Exception:  # a fault of ours must not end the schedule of everything
            log.exception("A tick failed.", extra={"action": "tick_failed"})
            return self._back_off()
        if self._failures:
            log.warning("The database is back.", extra={"action": "database_back"})
        self._failures, self._away_since = 0, None
        return seconds

    def _tick(self) -> float:
        if self._away_since is not None:
            self.runner.hold_up(self._away_since, DowntimeCause.DATABASE_AWAY)
        if not self._started:
            if not self.runner.watch.is_alive():
                self.runner.watch.start()
            with self.runner.watch.watching(START_SECONDS_MAX):
                self.runner.start()
            self.runner.work_with_rq_beside()
            self.runner.save_beside()
            self._started = True
            self._followers.start()
            self._collector.start()
        with self.runner.watch.watching():
            seconds = self.runner.tick()
        self._followers.go_on(leading=self.runner.leading, behind=self.runner.behind)
        return seconds

    def _database_lost(self, error: Exception) -> float:
        self._away_since = self._away_since or clock.now()
        if self._failures == 0:
            log.error(
                "The database does not answer: %s. Waiting for it.",
                clause(error),
                extra={"action": "database_away"},
            )
        return self._back_off()

    def _outdated(self, error: NewerEvent) -> float:
        """A rolling deploy of a newer release: its runner shall lead, not this one."""
        if self._failures == 0:
            log.error("This runner stands by: %s", error, extra={"action": "runner_outdated"})
        with suppress(DatabaseError, InterfaceError):  # then the lease runs out
            self.runner.lease.step_down()
        self._followers.go_on(leading=False, behind=False)  # they cannot read that event either
        return self._back_off()

    def _back_off(self) -> float:
        """Count the failure; the seconds to wait grow with each in a row."""
        self._failures += 1
        self.runner.fall_back()
        # The exponent is bounded, too: an outage may last for days.
        return float(min(0.1 * 2 ** min(self._failures, 10), BACKOFF_SECONDS_MAX))

    def _stop_runner(self) -> None:
        try:
            self.runner.stop()
        except (DatabaseError, InterfaceError) as error:
            log.warning(
                "The runner's end is not recorded: %s",
                error,
                extra={"action": "stop_not_recorded", "runner": self.runner.id},
            )


def _connect_within(seconds: int) -> None:
    db = store.connection()
    backend_of(db).connect_within(db, seconds)
