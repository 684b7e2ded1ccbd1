"""All that a runner does with RQ: handing over runs, and repairing what a crash left open.

``RqSide`` does it in the thread that calls it, for tests and for one pass. ``RqThread`` does it beside
the thread that decides, so that a Redis which hangs holds up no decision.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from .. import clock
from ..core.events import Event
from ..core.wording import clause
from ..execution import spool
from ..execution.enqueuer import Enqueuer, RunRequest
from ..ledger import store
from ..ledger.cron_states import States
from ..process.failpoints import reach
from .reconciler import Reconciler
from .redis_outage import RedisOutage

__all__ = ["RqSide", "RqThread"]

log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 30.0
"""How often RQ is asked to give up the jobs of dead workers."""
REDIS_SECONDS_MAX = 5.0
"""How long one answer of Redis may take, where the project sets no bound of its own."""
REQUESTS_WAITING_MAX = 100_000
"""Beyond it, runs are left to the reconciler, which finds all that are decided and not in Redis."""
SILENT_SECONDS_MAX = 15.0
"""When RQ's side has not come back for so long, it is said."""
IDLE_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 5.0
JOIN_SECONDS_MAX = 5.0


class RqSide:
    """Handing over and repairing, a bounded piece at a time. Raises Django's database errors."""

    def __init__(self, actor: str) -> None:
        self.enqueuer = Enqueuer(seconds_max=REDIS_SECONDS_MAX)
        self.reconciler = Reconciler(self.enqueuer, actor)
        self._actor = actor
        self._redis = RedisOutage()
        self._draining = False
        self._cleaned_at = clock.monotonic_seconds()

    @property
    def busy(self) -> bool:
        """A pass over the open runs is not through yet."""
        return self._draining or not self.reconciler.done

    def enqueue(self, requests: Sequence[RunRequest]) -> list[Event]:
        """Hand runs to RQ whose decision is committed; returns what was recorded of it."""
        recorded: list[Event] = []
        for results in self.enqueuer.enqueue(requests):
            events = [result.event(self._actor) for result in results]
            if results[0].is_outage:
                # Recorded once per outage. The runs stay open, and are enqueued when Redis is back.
                if self._redis.begins(results[0].error, results[0].redis):
                    store.append_next(events)
                    recorded += events
                continue
            if not results[0].error:
                self._redis.ends(results[0].redis)
            reach("after_enqueue")
            store.append_next(events)
            reach("after_enqueued")
            recorded += events
        return recorded

    def reconcile(self, states: States) -> set[str]:
        """The next step of a pass over the open runs; a new pass when there is none.

        Returns the crons whose runs were repaired; ``states`` is folded on.
        """
        names: set[str] = set()
        try:
            if self.reconciler.done:
                names |= self._drain_spools(states)
                if not self._draining:  # otherwise more of it, before any repair
                    self.reconciler.begin(states)
            if clock.monotonic_seconds() - self._cleaned_at >= CLEAN_UP_SECONDS:
                self._cleaned_at = clock.monotonic_seconds()
                self.reconciler.clean_up(states)
            findings = self.reconciler.step(states)
        except RedisError as error:
            self.give_up()
            self._redis.begins(str(error))
            return names
        self._redis.ends()
        return names | {finding.definition.name for finding in findings}

    def clean_up_next(self) -> None:
        """Ask RQ to give up the jobs of dead workers with the next step, not in half a minute."""
        self._cleaned_at = float("-inf")

    def give_up(self) -> None:
        """Drop the rest of a pass; the next one looks at everything again."""
        self.reconciler.give_up()
        self._draining = False

    def _drain_spools(self, states: States) -> set[str]:
        """Write what workers could not write, before the reconciler asks RQ instead: a part of it."""
        names: set[str] = set()
        self._draining = False
        for connection in self.enqueuer.connections():
            try:
                written, more_here = spool.drain(connection)
            except RedisError:  # only this one; the reconciler tells of it where runs are open
                continue
            self._draining |= more_here
            states.apply(written)
            names |= {event.cron for event in written}
        return names


class RqThread(threading.Thread):
    """Takes runs and passes from the deciding thread, and never makes it wait.

    What it records reaches the deciding thread through the log, as everything does.
    """

    def __init__(self, side: RqSide) -> None:
        super().__init__(name="rqcron-rq", daemon=True)
        self._side = side
        self._requests: deque[RunRequest] = deque()
        self._states: States | None = None
        """Of the pass that is under way, or that is asked for."""
        self._wake = threading.Event()
        self._stopping = False
        self._began_at: float | None = None
        """Monotonic seconds since when one call is under way."""
        self._said = False
        self._failures = 0
        self._forget = False

    def forget(self) -> None:
        """Drop what was asked for: the log went back, and may not know these runs any more. Those that
        it does know are found by the next pass."""
        self._forget = True
        self._requests.clear()
        self._wake.set()

    def enqueue(self, requests: Sequence[RunRequest]) -> None:
        """Hand these over as soon as may be."""
        room = REQUESTS_WAITING_MAX - len(self._requests)
        self._requests.extend(requests[:room])
        self._wake.set()

    def reconcile(self, states: States) -> None:
        """Compare these open runs with RQ; a copy, which is this thread's from now on. Left out
        when the last pass is not through."""
        if self._states is None:
            self._states = states
            self._wake.set()

    @property
    def takes_a_pass(self) -> bool:
        """The last one is through."""
        return self._states is None

    def say_if_silent(self) -> None:
        """Once, when Redis neither answers nor refuses."""
        began_at = self._began_at
        if began_at is None:
            self._said = False
        elif not self._said and clock.monotonic_seconds() - began_at > SILENT_SECONDS_MAX:
            self._said = True
            log.error(
                "Redis has not answered for %.0f s, nor refused. Decisions go on; jobs follow when "
                "it is back.",
                clock.monotonic_seconds() - began_at,
                extra={"action": "redis_silent"},
            )

    def stop(self) -> None:
        """Finish what is under way, within a bound: a Redis that hangs must not keep a deploy."""
        self._stopping = True
        self._wake.set()
        if self.is_alive():
            self.join(JOIN_SECONDS_MAX)

    def run(self) -> None:
        try:
            while not (self._stopping and not self._requests):
                if self._states is None and not self._requests:
                    self._wake.wait(IDLE_SECONDS)
                    self._wake.clear()
                    continue
                self._step()
        finally:
            store.connection().close()

    def _step(self) -> None:
        self._began_at = clock.monotonic_seconds()
        try:
            if self._forget:
                self._forget, self._states = False, None
                self._side.give_up()
            elif self._requests:
                self._side.enqueue([self._requests.popleft() for _ in range(len(self._requests))])
            elif self._states is not None:
                self._side.reconcile(self._states)
                if not self._side.busy:
                    self._states = None
            self._failures = 0
        except Exception as error:
            self._began_at = None
            self._fail(error)
        finally:
            self._began_at = None

    def _fail(self, error: Exception) -> None:
        """What was not recorded is found by the next pass, which compares the log with RQ."""
        self._side.give_up()
        self._states = None
        self._failures += 1
        if isinstance(error, DatabaseError | InterfaceError):
            log.warning(
                "What became of runs in RQ cannot be recorded now: %s",
                clause(error),
                extra={"action": "rq_side_waits"},
            )
        else:  # a fault of ours must not end the repair of everything
            log.error("A step of RQ's side failed.", exc_info=error, extra={"action": "rq_failed"})
        store.connection().close()
        self._wake.clear()
        self._wake.wait(min(0.1 * 2 ** min(self._failures, 10), BACKOFF_SECONDS_MAX))
